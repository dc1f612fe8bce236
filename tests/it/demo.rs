//! `demo` as a child process: it ends well, and its table accounts for everything.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Far longer than a demo takes, and shorter than a test run may.
const BOUND: Duration = Duration::from_secs(150);

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"));
        demo.arg("demo").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(demo.spawn().unwrap())
    }

    /// Standard output up to and with a line that begins so, or to its end.
    fn read_to(&mut self, start: &'static str) -> String {
        let mut out = BufReader::new(self.0.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut text, mut from) = (String::new(), 0);
            while out.read_line(&mut text).unwrap() > 0 && !text[from..].starts_with(start) {
                from = text.len();
            }
            tell.send((text, out)).ok();
        });
        let (text, out) = told.recv_timeout(BOUND).unwrap();
        self.0.stdout = Some(out.into_inner());
        text
    }

    /// Exit code and standard error, once standard output was read to its end.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.0.wait().unwrap().code(), stderr)
    }
}

/// The figure of a line of the table.
fn figure(table: &str, name: &str) -> u64 {
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().replace(',', "").parse().unwrap()
}

fn check(seed: &str) -> String {
    let mut demo = Demo::start(&["--records", "3000", "--seed", seed]);
    let table = demo.read_to("Nothing was lost");
    let (code, stderr) = demo.end();
    assert_eq!(code, Some(0), "{table}{stderr}");
    for must_be_none in ["lost", "wrongly dead-lettered", "wrongly sent"] {
        assert_eq!(figure(&table, must_be_none), 0, "{table}");
    }
    for some in ["coalesced", "dead-lettered: refused", "skipped", "throttled answers", "failed answers"] {
        assert!(figure(&table, some) > 0, "{some}: {table}");
    }
    assert_eq!((figure(&table, "records written"), figure(&table, "dead-lettered: undecodable")), (3_000, 1));
    let ends = ["accepted", "coalesced", "dead-lettered: refused", "dead-lettered: undecodable", "skipped"];
    let ended: u64 = ends.iter().map(|name| figure(&table, name)).sum();
    assert_eq!(figure(&table, "changes written") + figure(&table, "duplicates"), ended, "{table}");
    for told in ["OMS is down", "OMS is back", "OMS throttles", "everything that was written is settled"] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    table
}

#[test]
fn the_demo_accounts_for_every_key() {
    check("1");
}

#[test]
fn another_seed_writes_other_records_and_loses_none_either() {
    let table = check("2026");
    assert!(figure(&table, "accepted") > 2_000, "{table}");
}

#[test]
fn it_goes_on_when_asked_and_drains_when_asked_to_end() {
    let mut demo = Demo::start(&["--records", "200", "--keep-running"]);
    let table = demo.read_to("Nothing was lost");
    assert_eq!(figure(&table, "lost"), 0);
    let signalled = Command::new("kill").arg(demo.0.id().to_string()).status().unwrap();
    assert!(signalled.success());
    assert_eq!(demo.read_to("\0"), "");
    let (code, stderr) = demo.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("the worker drains"), "{stderr}");
}

#[test]
fn a_taken_address_is_refused_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut demo = Demo::start(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(demo.read_to("\0"), "");
    let (code, stderr) = demo.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("--listen"), "{stderr}");
}
