//! `health`: asks a worker's `/livez` and says with its exit code what came back. Needs no curl in the image.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::config_file::ConfigFile;
use super::exit::Exit;

/// Longest time for the whole question.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Arguments of `health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Ask this URL (http) instead of /livez at admin.listen
    #[arg(long, value_name = "URL")]
    url: Option<Uri>,
}

/// Prints the answer; [`Exit::Done`] for 200, else [`Exit::Refused`].
///
/// # Errors
/// The configuration has problems, or the runtime cannot start.
pub fn run(args: &HealthArgs) -> anyhow::Result<Exit> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => livez(args.file.load()?.config.admin.listen)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(async { tokio::time::timeout(TIMEOUT, ask(&url)).await });
    match asked {
        Ok(Ok((StatusCode::OK, text))) => {
            println!("{}", text.trim_end());
            return Ok(Exit::Done);
        }
        Ok(Ok((status, text))) => eprintln!("{url}: {status}: {}", text.trim_end()),
        Ok(Err(why)) => eprintln!("{url}: {why:#}"),
        Err(_) => eprintln!("{url}: no answer within {} s", TIMEOUT.as_secs()),
    }
    Ok(Exit::Refused)
}

/// The address to ask where the server listens on `listen`: this host, where it listens everywhere.
fn livez(listen: SocketAddr) -> anyhow::Result<Uri> {
    let host = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    Ok(format!("http://{}/livez", SocketAddr::new(host, listen.port())).parse()?)
}

async fn ask(url: &Uri) -> anyhow::Result<(StatusCode, String)> {
    if url.scheme_str() != Some("http") {
        bail!("only URLs that begin with http:// are asked");
    }
    let host = format!("{}:{}", url.host().context("no host in the URL")?, url.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(&host).await.context("cannot connect")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|why| anyhow::anyhow!(why))?.to_bytes();
        anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_this_host() {
        for (listen, url) in [
            ("0.0.0.0:9464", "http://127.0.0.1:9464/livez"),
            ("[::]:80", "http://[::1]:80/livez"),
            ("10.1.2.3:9", "http://10.1.2.3:9/livez"),
        ] {
            assert_eq!(livez(listen.parse().unwrap()).unwrap(), url);
        }
    }
}
