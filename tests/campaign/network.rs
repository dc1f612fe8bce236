//! The network between workers and what they speak to: TCP proxies on loopback that can delay, cut in the middle, reset and
//! swallow. Knows nothing of what is spoken.

use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How much is passed on at once.
const CHUNK: usize = 64 * 1024;
/// How late a chunk comes with [`Weather::Delay`].
const DELAY: Duration = Duration::from_millis(150);

/// What a proxy does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weather {
    Fair,
    /// Everything comes later, and so less of it.
    Delay,
    /// Half of what comes next is passed on, then the connection is reset.
    Halve,
    /// Every connection is reset, and new ones at once.
    Reset,
    /// Nothing is passed on and nobody is told; connections are reset when it ends.
    BlackHole,
}

/// All proxies, by the port that they listen on.
pub(crate) struct Network {
    weather: BTreeMap<u16, watch::Sender<Weather>>,
}

impl Network {
    /// Proxies from each first port to each second one, on a thread of their own.
    pub(crate) fn start(proxies: &[(u16, u16)]) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut weather = BTreeMap::new();
        for (port, to) in proxies {
            let listener = StdListener::bind(("127.0.0.1", *port))
                .with_context(|| format!("port {port} is taken: choose others with --port"))?;
            listener.set_nonblocking(true)?;
            let (sender, receiver) = watch::channel(Weather::Fair);
            weather.insert(*port, sender);
            let listener = runtime.block_on(async { TcpListener::from_std(listener) })?;
            runtime.spawn(listen(listener, *to, receiver));
        }
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Self { weather })
    }

    /// Changes the weather at these ports.
    pub(crate) fn set(&self, ports: &[u16], weather: Weather) {
        for sender in ports.iter().filter_map(|port| self.weather.get(port)) {
            sender.send_replace(weather);
        }
    }
}

async fn listen(listener: TcpListener, to: u16, weather: watch::Receiver<Weather>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, to, weather.clone()))),
            Err(_) => tokio::time::sleep(DELAY).await,
        }
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

async fn connection(near: TcpStream, to: u16, mut weather: watch::Receiver<Weather>) {
    if hold(&mut weather).await == Some(End::Reset) {
        return reset(near);
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { return reset(near) };
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let mut changes = weather.clone();
    let end = {
        let there = pass(&mut near_in, &mut far_out, weather.clone());
        let back = pass(&mut far_in, &mut near_out, weather);
        let both = async {
            tokio::pin!(there, back);
            let (first, rest) = tokio::select! {
                end = &mut there => (end, None),
                end = &mut back => (end, Some(there)),
            };
            match (first, rest) {
                (End::Reset, _) => End::Reset,
                (End::Closed, None) => back.await,
                (End::Closed, Some(there)) => there.await,
            }
        };
        tokio::select! {
            end = both => end,
            () = broken(&mut changes) => End::Reset,
        }
    };
    if end == End::Reset {
        for (read, write) in [(near_in, near_out), (far_in, far_out)] {
            if let Ok(stream) = read.reunite(write) {
                reset(stream);
            }
        }
    }
}

/// Waits out a black hole. A connection that was in one, or comes in bad weather, is to be reset.
async fn hold(weather: &mut watch::Receiver<Weather>) -> Option<End> {
    let now = *weather.borrow();
    match now {
        Weather::Fair | Weather::Delay | Weather::Halve => None,
        Weather::Reset => Some(End::Reset),
        Weather::BlackHole => {
            weather.wait_for(|weather| *weather != Weather::BlackHole).await.ok();
            Some(End::Reset)
        }
    }
}

/// Completes when all connections are to be reset, or a black hole has ended.
async fn broken(weather: &mut watch::Receiver<Weather>) {
    loop {
        if weather.wait_for(|weather| matches!(weather, Weather::Reset | Weather::BlackHole)).await.is_err() {
            std::future::pending::<()>().await;
        }
        if hold(weather).await.is_some() {
            return;
        }
    }
}

async fn pass(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, mut weather: watch::Receiver<Weather>) -> End {
    let mut chunk = vec![0; CHUNK];
    loop {
        let Ok(length) = from.read(&mut chunk).await else { return End::Reset };
        if length == 0 {
            to.shutdown().await.ok();
            return End::Closed;
        }
        let now = *weather.borrow_and_update();
        let passed = match now {
            Weather::Fair => length,
            Weather::Delay => {
                tokio::time::sleep(DELAY).await;
                length
            }
            Weather::Halve => length / 2,
            Weather::Reset | Weather::BlackHole => {
                weather.wait_for(|weather| *weather == Weather::Fair).await.ok();
                return End::Reset;
            }
        };
        if to.write_all(&chunk[..passed]).await.is_err() || passed < length {
            return End::Reset;
        }
    }
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().ok();
    drop(stream);
}
