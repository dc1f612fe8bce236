"""The results as a table and a chart. Pure: results in, text out."""
from statistics import median

COLOURS = {"floor": "#8a8f98", "worker": "#0a7d4f"}
OTHERS = "#b5651d"
BAR, GAP, LEFT, WIDTH, RIGHT = 18, 8, 140, 460, 130


def spread(values, form="{:,.1f}"):
    """The median, and the lowest and highest where they differ."""
    middle, low, high = (form.format(value) for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}-{high})"


def column(results, name, form="{:,.1f}"):
    return spread([getattr(result, name) for result in results], form)


def ratio(results, floor, name):
    return median(getattr(result, name) for result in results) / median(getattr(result, name) for result in floor)


def table(by_contender):
    """One setting's results: {contender: [Result of each round]}."""
    floor = by_contender.get("floor")
    rows = [
        "| contender | CPU us/key | x floor | steady | keys/s | x floor | requests/s | keys/event | peak RSS MiB | repeated keys |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, results in by_contender.items():
        of_floor = [f"{ratio(results, floor, what):.2f}" if floor else "" for what in ("cpu", "keys")]
        rows.append("| " + " | ".join([
            f"**{name}**" if name == "worker" else name, column(results, "cpu"), of_floor[0],
            column(results, "steady"), column(results, "keys", "{:,.0f}"), of_floor[1],
            column(results, "requests", "{:,.0f}"), f"{median(r.keys_per_event for r in results):.2f}",
            column(results, "peak_mib", "{:,.0f}"), column(results, "repeated", "{:,.0f}"),
        ]) + " |")
    return "\n".join(rows)


def panel(title, by_contender, top):
    """Bars of CPU a key, the median with a line from lowest to highest."""
    scale = WIDTH / max(result.cpu for results in by_contender.values() for result in results)
    parts = [f'<text x="0" y="{top + 14}" class="t">{title}</text>']
    y = top + 26
    for name, results in by_contender.items():
        costs = [result.cpu for result in results]
        middle = median(costs)
        centre = y + BAR / 2
        low, high = LEFT + min(costs) * scale, LEFT + max(costs) * scale
        parts += [
            f'<text x="{LEFT - 8}" y="{centre + 4}" text-anchor="end">{name}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{middle * scale:.1f}" height="{BAR}" fill="{COLOURS.get(name, OTHERS)}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{centre}" y2="{centre}" stroke="#222"/>',
            f'<text x="{max(high, LEFT + middle * scale) + 6:.1f}" y="{centre + 4}">{middle:.1f} us</text>',
        ]
        y += BAR + GAP
    return parts, y + 12


def chart(by_setting):
    """An SVG with a panel for each setting: {title: {contender: [Result]}}."""
    parts, y = [], 0
    for title, by_contender in by_setting.items():
        more, y = panel(f"CPU a key, {title}", by_contender, y)
        parts += more
    width = LEFT + WIDTH + RIGHT
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
            'font-family="sans-serif" font-size="12">')
    style = "<style>text{fill:#222}.t{font-weight:bold}</style>"
    return "\n".join([head, f'<rect width="{width}" height="{y}" fill="#fff"/>', style, *parts, "</svg>", ""])
