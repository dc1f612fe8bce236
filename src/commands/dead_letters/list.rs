//! `dead-letters list`: what is in the dead-letter topics. Reads only; keeps no more letters than it prints.

use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;

use super::filter::Filter;
use super::identity::Identity;
use super::letter::Letter;
use super::place::{Place, PlaceArgs};
use super::reader::Reader;
use super::replayed::{self, Replayed};
use super::rows::{self, CSV_COLUMNS, Counts, Format, HEADER, Row};
use crate::commands::exit::Exit;
use crate::pipeline::record::Record;

/// Letters that are printed unless `--limit` says otherwise: the table keeps them until it knows its widths.
const DEFAULT_LIMIT: usize = 1_000;

/// Arguments of `dead-letters list`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  oms-sync-worker dead-letters list --config worker.yaml --since 2h\n  \
                        oms-sync-worker dead-letters list --brokers localhost:9092 --topic object-changes.dlq --format json")]
pub struct ListArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    filter: Filter,
    /// How it is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Most letters that are printed, the oldest; counts are of all
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
    /// Go on with letters as they are written; --limit is for those before
    #[arg(long)]
    follow: bool,
}

/// Prints to standard output.
pub(super) async fn run(args: &ListArgs) -> anyhow::Result<Exit> {
    let place = args.place.find()?;
    let existing = place.existing_topics()?;
    place.check_topics(&existing)?;
    let replayed = replayed::load(&place, &existing).await?;
    let out = io::BufWriter::new(io::stdout().lock());
    let mut list = List { args, replayed, now: now(), counts: Counts::default(), rows: Vec::new(), printed: 0, out };
    list.begin()?;
    list.read(&place).await?;
    Ok(Exit::Done)
}

struct List<'a, W: Write> {
    args: &'a ListArgs,
    replayed: Replayed,
    now: SystemTime,
    counts: Counts,
    /// What the table will have.
    rows: Vec<[String; HEADER.len()]>,
    printed: usize,
    out: W,
}

impl<W: Write> List<'_, W> {
    async fn read(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut reader = Reader::open(place, &place.topics, self.args.follow)?;
        while let Some(record) = reader.next().await? {
            self.take(record)?;
        }
        self.finish()?;
        while self.args.follow {
            let record = reader.follow().await?;
            self.add(record)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.args.format == Format::Csv { self.csv(&CSV_COLUMNS.map(str::to_owned)) } else { Ok(()) }
    }

    fn meant(&self, record: Record) -> Option<(Letter, bool)> {
        let letter = Letter::of(record);
        let identity = letter.said.as_ref().ok().map(Identity::of);
        let replayed = identity.is_some_and(|identity| self.replayed.contains(&identity));
        self.args.filter.takes(&letter, self.now).then_some((letter, replayed))
    }

    fn take(&mut self, record: Record) -> io::Result<()> {
        let Some((letter, replayed)) = self.meant(record) else { return Ok(()) };
        self.counts.add(&letter, replayed);
        if self.printed == self.args.limit {
            return Ok(());
        }
        self.printed += 1;
        let row = Row::of(letter, replayed);
        if self.args.format == Format::Table {
            self.rows.push(row.cells());
            return Ok(());
        }
        self.print(&row)
    }

    /// One that came after the end.
    fn add(&mut self, record: Record) -> io::Result<()> {
        let Some((letter, replayed)) = self.meant(record) else { return Ok(()) };
        self.print(&Row::of(letter, replayed))?;
        self.out.flush()
    }

    fn print(&mut self, row: &Row) -> io::Result<()> {
        match self.args.format {
            Format::Table => writeln!(self.out, "{}", row.cells().join("  ")),
            Format::Json => writeln!(self.out, "{}", serde_json::to_string(row)?),
            Format::Csv => self.csv(&row.csv()),
        }
    }

    fn csv(&mut self, cells: &[String]) -> io::Result<()> {
        let mut line = csv::Writer::from_writer(&mut self.out);
        line.write_record(cells)?;
        line.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.args.format == Format::Table {
            writeln!(self.out, "{}", self.counts.table())?;
            self.rows.sort(); // by when they were written: partitions are read as they come
            write!(self.out, "{}", rows::table(HEADER, &self.rows))?;
            self.rows = Vec::new();
        }
        self.out.flush()?;
        let more = self.counts.letters() - self.printed as u64;
        if more > 0 {
            eprintln!("{more} more are not shown: raise --limit, or filter");
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a duration ago is counted from the clock of who asks")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
