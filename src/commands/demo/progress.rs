//! What is shown while the demo runs, on standard error: bars where that is a terminal, else a line a second.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Time between two lines where there are no bars.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// How far everything is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Figures {
    /// Records that Kafka has confirmed.
    pub(super) written: u64,
    /// Records behind the commit points.
    pub(super) settled: u64,
    /// Keys that OMS accepted.
    pub(super) accepted: u64,
    /// Answers 429.
    pub(super) throttled: u64,
    /// Answers 503.
    pub(super) unavailable: u64,
}

/// The display.
pub(super) struct Progress {
    shown: Shown,
}

enum Shown {
    Bars { all: MultiProgress, written: ProgressBar, settled: ProgressBar, oms: ProgressBar },
    Lines { last: Option<(Duration, Figures)> },
}

impl Progress {
    /// For that many records.
    pub(super) fn new(records: u64) -> Self {
        if !stderr().is_terminal() {
            return Self { shown: Shown::Lines { last: None } };
        }
        let all = MultiProgress::new();
        let bar = |name: &'static str| {
            let style = ProgressStyle::with_template("{prefix:>8} {wide_bar} {human_pos}/{human_len} records");
            let bar = all.add(ProgressBar::new(records)).with_prefix(name);
            style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
        };
        let (written, settled) = (bar("written"), bar("settled"));
        let style = ProgressStyle::with_template("{prefix:>8} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let oms = all.add(ProgressBar::new(0)).with_prefix("OMS").with_style(style);
        Self { shown: Shown::Bars { all, written, settled, oms } }
    }

    /// Says what is going on.
    pub(super) fn say(&self, elapsed: Duration, text: &str) {
        let line = format!("{:>5.1} s  {text}", elapsed.as_secs_f64());
        match &self.shown {
            // A terminal that is gone ends nothing.
            Shown::Bars { all, .. } => drop(all.println(line)),
            Shown::Lines { .. } => eprintln!("{line}"),
        }
    }

    /// Shows how far everything is.
    pub(super) fn show(&mut self, elapsed: Duration, figures: Figures) {
        let Figures { written, settled, accepted, throttled, unavailable } = figures;
        let oms = format!("{accepted} keys accepted; answers: {unavailable} x 503, {throttled} x 429");
        match &mut self.shown {
            Shown::Bars { written: written_bar, settled: settled_bar, oms: oms_bar, .. } => {
                written_bar.set_position(written);
                settled_bar.set_position(settled);
                oms_bar.set_message(oms);
            }
            Shown::Lines { last } => {
                if last.is_none_or(|(at, shown)| elapsed >= at + LINE_INTERVAL && shown != figures) {
                    *last = Some((elapsed, figures));
                    let elapsed = elapsed.as_secs_f64();
                    eprintln!("{elapsed:>5.1} s  records: {written} written, {settled} settled; OMS: {oms}");
                }
            }
        }
    }

    /// Leaves the last state on the screen.
    pub(super) fn finish(&self) {
        if let Shown::Bars { written, settled, oms, .. } = &self.shown {
            for bar in [written, settled, oms] {
                bar.abandon();
            }
        }
    }
}
