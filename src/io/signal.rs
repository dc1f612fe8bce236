//! SIGTERM and SIGINT as a stream of requests to end. Decides nothing: what a request does is the receiver's matter.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The first one: finish what is begun, then end.
    Drain,
    /// Any later one: end at once.
    AtOnce,
}

/// The signals that end the process.
#[derive(Debug)]
pub struct Endings {
    terminate: Signal,
    interrupt: Signal,
    asked: bool,
}

impl Endings {
    /// Takes over SIGTERM and SIGINT. Call it within a tokio runtime.
    ///
    /// # Errors
    /// The operating system refuses the registration.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            asked: false,
        })
    }

    /// Waits for the next signal. Nothing is lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        if std::mem::replace(&mut self.asked, true) { Ending::AtOnce } else { Ending::Drain }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    fn send(signal: &str) {
        let own = std::process::id().to_string();
        let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &own]).status().unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_ends_at_once() {
        let mut endings = Endings::new().unwrap();
        for (signal, expected) in [("TERM", Ending::Drain), ("INT", Ending::AtOnce), ("TERM", Ending::AtOnce)] {
            send(signal);
            let ending = tokio::time::timeout(Duration::from_secs(20), endings.next()).await.unwrap();
            assert_eq!(ending, expected);
        }
    }
}
