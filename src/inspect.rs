//! Where others look inside: `/metrics` for Prometheus, `/healthz` (alive?) and `/readyz` (at work?) for whoever watches the process.
//!
//! An edge with narrow bounds, because it must never cost the watching anything: few connections at a time, each for one question
//! and for a few seconds; bodies are not read; what the store is asked is asked at most every few seconds, whoever asks. Both
//! verdicts say in one line why they are 503.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::config::metrics::{Listen, MetricsConfig};
use crate::health::Condition;
use crate::meters::{Meters, label};
use crate::model::Health;
use crate::plain;
use crate::store::glance::Glance;
use crate::store::health::{Canary, Stage};
use crate::store::{self, Store, StoreError};

/// Connections at the same time; more of them wait.
const CONNECTIONS_MAX: usize = 16;
/// A connection lasts no longer, whatever it does.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);
/// The store must answer within this.
const STORE_TIME_MAX: Duration = Duration::from_secs(5);
/// What the store said is good for so long.
const STORE_EVERY: Duration = Duration::from_secs(5);
/// With more sources than this none has series of its own.
pub const SOURCES_MAX: usize = 500;

/// What the daemon says of itself.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    /// Time since each loop last came round, by name; `None`: it has not begun.
    pub loops: Vec<(&'static str, Option<Duration>)>,
    /// Why newswatch cannot be called alive, but for the store.
    pub standstill: Option<String>,
    /// It is about to end.
    pub stopping: bool,
    /// Self-tests are sent.
    pub canary: bool,
}

/// What is served.
#[derive(Clone)]
pub struct Inspector {
    /// Asked how everything stands.
    pub store: Store,
    /// What is counted.
    pub meters: Arc<Meters>,
    /// The time.
    pub clock: Clock,
    /// How the daemon does.
    pub vitals: Arc<dyn Fn() -> Vitals + Send + Sync>,
    /// Name of the store's note with the daemon's heartbeat.
    pub heartbeat_note: &'static str,
}

struct Shared {
    inspector: Inspector,
    /// When the store was last asked. One at a time asks.
    asked: Mutex<Option<Instant>>,
    /// Who may be meant by `Host`: a page in a browser must not reach us under a name of its own.
    any_host: bool,
}

/// An open socket, not served yet.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    config: MetricsConfig,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Opens the socket. The error says what to do.
pub async fn bind(config: &MetricsConfig) -> Result<Bound, String> {
    let socket = match &config.listen {
        Listen::Tcp(address) => TcpListener::bind(address).await.map(Socket::Tcp),
        Listen::Unix(path) => bind_unix(path).map(Socket::Unix),
    };
    let wrong = |error: std::io::Error| {
        format!("metrics cannot be served at {}: {error}; choose another metrics.listen", config.listen)
    };
    Ok(Bound { socket: socket.map_err(wrong)?, config: config.clone() })
}

fn bind_unix(path: &std::path::Path) -> std::io::Result<UnixListener> {
    // One that a killed process left behind; one that answers belongs to somebody.
    let is_left = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err();
    if is_left {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

impl Bound {
    /// Where it listens; a port 0 was replaced by the one that was free.
    pub fn address(&self) -> String {
        match &self.socket {
            Socket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| self.config.listen.to_string(), |address| address.to_string())
            }
            Socket::Unix(_) => self.config.listen.to_string(),
        }
    }

    /// Serves, for as long as it is polled.
    pub async fn serve(self, inspector: Inspector) {
        let any_host = self.config.allow_remote || matches!(self.config.listen, Listen::Unix(_));
        let shared = Arc::new(Shared { inspector, asked: Mutex::default(), any_host });
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .layer(middleware::from_fn_with_state(shared.clone(), guard))
            .with_state(shared);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let served = match self.socket {
            Socket::Tcp(listener) => axum::serve(Bounded { listener, places }, router).await,
            Socket::Unix(listener) => axum::serve(Bounded { listener, places }, router).await,
        };
        if let Err(error) = served {
            tracing::error!("metrics are not served any more: {error}");
        }
    }
}

/// One question a connection, and from this machine by its own name only.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut response = if shared.any_host || is_own_name(host) {
        next.run(request).await
    } else {
        let text = "the Host of the request is not this machine; say metrics.allow_remote = true if that is meant\n";
        (StatusCode::FORBIDDEN, text).into_response()
    };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn is_own_name(host: &str) -> bool {
    let is_loopback = |text: &str| text.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || is_loopback(name)
        || host.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let inspector = &shared.inspector;
    let mut asked = shared.asked.lock().await;
    if asked.is_none_or(|at| at.elapsed() >= STORE_EVERY) {
        let now = inspector.clock.now();
        match tokio::time::timeout(STORE_TIME_MAX, read(&inspector.store, inspector.heartbeat_note, now)).await {
            Ok(Ok(standing)) => {
                inspector.meters.store_up.set(1.0);
                let free = inspector.store.free_bytes();
                show(&inspector.meters, &standing, free, (inspector.vitals)().canary, now);
            }
            // What is counted is shown all the same.
            failed => {
                inspector.meters.store_up.set(0.0);
                let why = failed.map_or("it gives no answer".to_string(), |failed| {
                    failed.err().map_or(String::new(), |error| error.to_string())
                });
                tracing::debug!("metrics without the store: {why}");
            }
        }
        *asked = Some(Instant::now());
    }
    for (name, age) in (inspector.vitals)().loops {
        let age = age.map_or(f64::NAN, |age| age.as_secs_f64());
        Meters::set(&inspector.meters.loop_age, "loop", name, age);
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, inspector.meters.text()).into_response()
}

/// How everything stands, with the self-test and when it was found lost.
struct Standing {
    glance: Glance,
    canary: Option<Canary>,
    heartbeat: Option<Timestamp>,
}

async fn read(store: &Store, heartbeat_note: &str, now: Timestamp) -> store::Result<Standing> {
    Ok(Standing {
        glance: store.glance(now).await?,
        canary: store.canary().await?,
        heartbeat: store.noted(heartbeat_note).await?.and_then(|at| at.parse().ok()),
    })
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// Puts what the store said where it is shown.
fn show(meters: &Meters, standing: &Standing, free: Option<u64>, canary: bool, now: Timestamp) {
    let Standing { glance, canary: last, heartbeat } = standing;
    let age = |since: Option<Timestamp>| {
        since.map_or(0.0, |since| now.duration_since(since).max(SignedDuration::ZERO).as_secs_f64())
    };
    let mut states = [("fine", 0), ("failing", 0), ("new", 0), ("retired", 0), ("paused", 0)];
    for source in &glance.sources {
        let state = if source.paused { "paused" } else { source.health.as_str() };
        if let Some((_, count)) = states.iter_mut().find(|(name, _)| *name == state) {
            *count += 1;
        }
    }
    for (state, count) in states {
        Meters::set(&meters.sources, "state", state, f64::from(count));
    }
    let due = || glance.sources.iter().filter_map(|source| source.due_since);
    meters.sources_due.set(due().count() as f64);
    meters.source_lag.set(age(due().min()));
    // Sources that left the configuration leave.
    meters.source_healthy.clear();
    meters.source_read_at.clear();
    let shown = if glance.sources.len() > SOURCES_MAX { &[][..] } else { &glance.sources };
    for source in shown.iter().filter(|source| !source.paused) {
        let healthy = if source.health == Health::Fine { 1.0 } else { 0.0 };
        if source.health != Health::New {
            Meters::set(&meters.source_healthy, "source", &source.name, healthy);
        }
        if let Some(at) = source.read_at {
            Meters::set(&meters.source_read_at, "source", &source.name, seconds(at));
        }
    }
    meters.sources_without_series.set((glance.sources.len() - shown.len()) as f64);
    meters.conditions.clear();
    for (condition, count) in &glance.conditions {
        Meters::set(&meters.conditions, "condition", condition, *count as f64);
    }
    meters.items_unscored.set(glance.unscored as f64);
    meters.unscored_age.set(age(glance.unscored_since));
    for (state, count) in [("waiting", glance.waiting), ("overdue", glance.overdue), ("dead", glance.dead)] {
        Meters::set(&meters.outbox, "state", state, count as f64);
    }
    meters.outbox_age.set(age(glance.overdue_since));
    meters.store_bytes.set(glance.bytes as f64);
    meters.store_free_bytes.clear();
    if let Some(free) = free {
        meters.store_free_bytes.get_or_create(&label("place", "store")).set(free as f64);
    }
    meters.canary_ok.clear();
    meters.canary_sent_at.clear();
    if let Some(last) = last.as_ref().filter(|_| canary) {
        let is_lost =
            glance.conditions.contains_key(Condition::CanaryLost.as_str()) || matches!(last.stage, Stage::Dead(_));
        Meters::set(&meters.canary_ok, "test", "self", if is_lost { 0.0 } else { 1.0 });
        Meters::set(&meters.canary_sent_at, "test", "self", seconds(last.planted_at));
    }
    if let Some(at) = heartbeat {
        meters.heartbeat_at.set(seconds(*at));
    }
}

/// The watchdog's judgement: whether a restart could help.
async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    let standstill = (shared.inspector.vitals)().standstill;
    let wrong = match store_trouble(&shared.inspector).await {
        _ if standstill.is_some() => standstill,
        Some(error) if !shared.inspector.store.is_waited_for(&error) => Some(error.to_string()),
        _ => None,
    };
    verdict(wrong, "alive")
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let vitals = (shared.inspector.vitals)();
    let not_ready = if vitals.stopping {
        Some("newswatch is about to end".to_string())
    } else if let Some((name, _)) = vitals.loops.iter().find(|(_, age)| age.is_none()) {
        Some(format!("the first cycle has not begun: {name} waits for its first round"))
    } else if vitals.standstill.is_some() {
        vitals.standstill
    } else {
        store_trouble(&shared.inspector).await.map(|error| error.to_string())
    };
    verdict(not_ready, "ready")
}

async fn store_trouble(inspector: &Inspector) -> Option<StoreError> {
    let answer = tokio::time::timeout(STORE_TIME_MAX, inspector.store.ping()).await;
    let late = || StoreError::Away(format!("the store gives no answer within {} s", STORE_TIME_MAX.as_secs()));
    answer.unwrap_or_else(|_| Err(late())).err()
}

fn verdict(wrong: Option<String>, right: &str) -> Response {
    match wrong {
        None => (StatusCode::OK, format!("{right}\n")).into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", plain::line(&why, 500))).into_response(),
    }
}

/// A listener whose connections are few and short.
struct Bounded<L> {
    listener: L,
    places: Arc<Semaphore>,
}

impl<L: Listener> Listener for Bounded<L>
where
    L::Io: Unpin,
{
    type Io = Brief<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Brief<L::Io>, L::Addr) {
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await.ok();
        let (io, address) = self.listener.accept().await;
        (Brief { io, end: Box::pin(tokio::time::sleep(CONNECTION_TIME_MAX)), _place: place }, address)
    }

    fn local_addr(&self) -> std::io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends in time.
struct Brief<T> {
    io: T,
    end: BoxFuture<'static, ()>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<T: Unpin> Brief<T> {
    fn in_time(&mut self, context: &mut Context<'_>) -> std::io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(std::io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Brief<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match Pin::new(&mut self.io).poll_read(context, into) {
            Poll::Pending => self.in_time(context).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending),
            read => read,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Brief<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(context, bytes) {
            Poll::Pending => self.in_time(context).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
