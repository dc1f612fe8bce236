//! Sends events with a fixed number of requests in flight, on one thread; and the whole job around it.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use rdkafka::message::Message as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, Request, Url};
use tokio::sync::{Mutex, mpsc};

use super::cost::{Cost, Meter};
use super::notification::Notification;
use super::sign::Signer;
use super::source::Source;
use super::work::{self, Event, Groups, KEYS};
use super::{Args, Route};

/// Events that are handed over at once, so that the sending thread is woken once for them.
const CHUNK: usize = 32;
/// Chunks that may wait.
const CHUNKS: usize = 8;

struct Sender {
    client: Client,
    signer: Signer,
    urls: Vec<Url>,
}

impl Sender {
    fn new(args: &Args, routes: &[Route]) -> anyhow::Result<Self> {
        let constant = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("x-project-id"), HeaderValue::from_str(&args.project_id)?),
        ];
        let anchors = match &args.ca_file {
            Some(file) => Certificate::from_pem_bundle(&std::fs::read(file)?)?,
            None => Vec::new(),
        };
        let client = Client::builder()
            .default_headers(HeaderMap::from_iter(constant))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(args.in_flight)
            .tcp_nodelay(true)
            .no_proxy()
            .tls_certs_only(anchors)
            .build()?;
        let url = |route: &Route| {
            let endpoint = args.endpoint.trim_end_matches('/');
            Url::parse(&format!("{endpoint}/v2/{}/sync-tasks/{}/events", args.project_id, route.task))
        };
        let urls = routes.iter().map(url).collect::<Result<_, _>>()?;
        Ok(Self { client, signer: Signer::new(args, routes)?, urls })
    }

    async fn send(&self, event: Event, (date, authorization): (HeaderValue, HeaderValue)) -> anyhow::Result<()> {
        let mut request = Request::new(Method::POST, self.urls[event.task].clone());
        request.headers_mut().insert(HeaderName::from_static("x-sdk-date"), date);
        request.headers_mut().insert(AUTHORIZATION, authorization);
        *request.body_mut() = Some(event.body.into());
        let response = self.client.execute(request).await?;
        let status = response.status();
        let body = response.bytes().await?;
        ensure!(status.is_success(), "OMS answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// One of the requests in flight after the other, until nothing comes any more. Keys and requests.
    async fn send_all(&self, queue: &Queue) -> anyhow::Result<(usize, usize)> {
        let (mut keys, mut requests) = (0, 0);
        while let Some(event) = queue.next().await {
            keys += event.keys;
            requests += 1;
            let signed = self.signer.sign(&event)?;
            self.send(event, signed).await?;
        }
        Ok((keys, requests))
    }
}

/// Events from the reading thread, for whichever request is free.
struct Queue {
    chunks: Mutex<mpsc::Receiver<Vec<Event>>>,
    ready: RefCell<Vec<Event>>,
}

impl Queue {
    async fn next(&self) -> Option<Event> {
        if let Some(event) = self.ready.borrow_mut().pop() {
            return Some(event);
        }
        let mut chunks = self.chunks.lock().await;
        loop {
            if let Some(event) = self.ready.borrow_mut().pop() {
                return Some(event);
            }
            let chunk = chunks.recv().await?;
            self.ready.replace(chunk);
        }
    }
}

/// Reads, parses and groups all records; the commit is left to whoever knows that all was accepted.
fn read(args: &Args, routes: &[Route], chunks: &mpsc::Sender<Vec<Event>>) -> anyhow::Result<Source> {
    let source = Source::open(args)?;
    let mut groups = Groups::new(routes);
    let mut chunk = Vec::with_capacity(CHUNK);
    for _ in 0..args.records {
        let message = source.next()?;
        for (bucket, key) in Notification::parse(message.payload().unwrap_or_default())?.created() {
            chunk.extend(groups.add(bucket, key)?);
        }
        if chunk.len() >= CHUNK {
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
            chunks.blocking_send(full).context("sending has ended")?;
        }
    }
    chunk.extend(groups.rest());
    chunks.blocking_send(chunk).context("sending has ended")?;
    Ok(source)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The whole job.
pub(super) fn all(args: &Args, routes: &[Route]) -> anyhow::Result<Cost> {
    let meter = Meter::start();
    let sender = Sender::new(args, routes)?;
    let (chunks, incoming) = mpsc::channel(CHUNKS);
    let queue = Queue { chunks: Mutex::new(incoming), ready: RefCell::default() };
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || read(args, routes, &chunks));
        let sent = runtime()?.block_on(try_join_all((0..args.in_flight).map(|_| sender.send_all(&queue))));
        drop(queue); // a reader that waits for room ends
        let read = reading.join().map_err(|_| anyhow::anyhow!("the reading thread panicked"))?;
        let counts = sent?;
        read?.commit()?;
        let (keys, requests) = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Ok(meter.stop(keys, requests))
    })
}

/// `send` alone: signed before, sent over and over. Within the simulator's bound of a signature's age.
pub(super) fn alone(args: &Args, routes: &[Route]) -> anyhow::Result<Cost> {
    let events = work::sample(args, routes)?;
    let sender = Sender::new(args, routes)?;
    let full: Vec<Event> = events.into_iter().filter(|event| event.keys == KEYS).collect();
    ensure!(!full.is_empty(), "--records gives no full event");
    let signed = full.iter().map(|event| sender.signer.sign(event)).collect::<anyhow::Result<Vec<_>>>()?;
    let requests = args.records / KEYS;
    let (runtime, next, meter) = (runtime()?, RefCell::new(0..requests), Meter::start());
    runtime.block_on(try_join_all((0..args.in_flight).map(|_| async {
        loop {
            let Some(at) = next.borrow_mut().next() else { return Ok(()) };
            let Event { task, ref body, keys } = full[at % full.len()];
            sender.send(Event { task, body: body.clone(), keys }, signed[at % full.len()].clone()).await?;
        }
        #[expect(unreachable_code, reason = "names the error's type")]
        anyhow::Ok(())
    })))?;
    Ok(meter.stop(requests * KEYS, requests))
}
