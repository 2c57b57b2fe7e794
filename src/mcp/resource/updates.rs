//! Subscriptions: telling a client that a resource is not what it was. Many changes in a row are told as
//! one, a client that does not read is told later, and with the client its subscriptions are gone.
//!
//! A client of the older era subscribes to one resource after the other, one of the newer era opens a
//! stream for several; both end in [`watch()`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rmcp::model::{ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{SubscriptionContext, SubscriptionSink};
use rmcp::{Peer, RoleServer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{Address, Part};
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::mcp::surface::Surface;
use crate::orchestrator::watching::SessionWatch;

/// The subscriptions of one connection.
pub(crate) struct Subscriptions {
    /// Those of the older era, by the URI that the client used.
    wanted: watch::Sender<BTreeMap<String, Wanted>>,
    places: Arc<Semaphore>,
}

/// A subscription of the older era.
#[derive(Clone)]
struct Wanted {
    address: Address,
    peer: Peer<RoleServer>,
    _place: Arc<OwnedSemaphorePermit>,
}

/// Who is told.
enum Listener {
    Peer(Peer<RoleServer>),
    Stream(SubscriptionSink),
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            wanted: watch::channel(BTreeMap::new()).0,
            places: Arc::new(Semaphore::new(limits::SUBSCRIPTIONS)),
        }
    }

    /// From now on the client is told of changes of the resource. Once more changes nothing.
    pub(crate) async fn subscribe(
        &self,
        surface: &Surface,
        uri: String,
        address: Address,
        peer: Peer<RoleServer>,
    ) -> Result<()> {
        check(surface, &address).await?;
        if self.wanted.borrow().contains_key(&uri) {
            return Ok(());
        }
        let place = Arc::new(Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?);
        let wanted = Wanted { address, peer, _place: place };
        self.wanted.send_modify(|all| drop(all.insert(uri, wanted)));
        Ok(())
    }

    /// The client is told no more of it.
    pub(crate) fn unsubscribe(&self, uri: &str) {
        self.wanted.send_if_modified(|all| all.remove(uri).is_some());
    }

    /// Tells of all that was subscribed to, for as long as it is polled.
    pub(crate) async fn follow(&self, surface: &Surface) {
        let mut wanted = self.wanted.subscribe();
        let mut followed: HashMap<String, CancellationToken> = HashMap::new();
        let mut watches = FuturesUnordered::new();
        loop {
            {
                let all = wanted.borrow_and_update();
                followed.retain(|uri, token| {
                    let stays = all.contains_key(uri);
                    if !stays {
                        token.cancel();
                    }
                    stays
                });
                for (uri, Wanted { address, peer, .. }) in all.iter() {
                    if followed.contains_key(uri) {
                        continue;
                    }
                    let token = CancellationToken::new();
                    followed.insert(uri.clone(), token.clone());
                    let (uri, address, listener) =
                        (uri.clone(), address.clone(), Listener::Peer(peer.clone()));
                    watches.push(async move {
                        let watching = watch(surface, &uri, &address, &listener);
                        // Only a subscription that ended by itself is to be forgotten.
                        token.run_until_cancelled(watching).await.map(|()| uri)
                    });
                }
            }
            tokio::select! {
                biased;
                changed = wanted.changed() => if changed.is_err() { return },
                Some(ended) = watches.next() => if let Some(uri) = ended { self.unsubscribe(&uri) },
            }
        }
    }

    /// What of a stream's wishes is fulfilled: what has an address, as far as there are places.
    pub(crate) fn accepted(&self, requested: &SubscriptionFilter) -> SubscriptionFilter {
        let mut uris = requested.resource_subscriptions.clone().unwrap_or_default();
        uris.sort();
        uris.dedup();
        uris.retain(|uri| Address::parse(uri).is_ok());
        uris.truncate(self.places.available_permits());
        SubscriptionFilter::builder().resource_subscriptions(uris).build()
    }

    /// Tells a stream of what it was promised, until the client or the server ends it.
    pub(crate) async fn stream(&self, surface: &Surface, stream: &SubscriptionContext) -> Result<()> {
        let uris = stream.accepted().resource_subscriptions.clone().unwrap_or_default();
        let places = u32::try_from(uris.len()).unwrap_or(u32::MAX);
        let _places = self.places.try_acquire_many(places).map_err(|_| full())?;
        let listener = Listener::Stream(stream.sink().clone());
        let watching = async {
            let known = uris.iter().filter_map(|uri| Some((uri, Address::parse(uri).ok()?)));
            let mut watches: FuturesUnordered<_> = known
                .map(|(uri, address)| {
                    let listener = &listener;
                    async move { watch(surface, uri, &address, listener).await }
                })
                .collect();
            while watches.next().await.is_some() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stream.cancelled() => {}
            () = surface.closed() => {}
            () = watching => {}
        }
        Ok(())
    }
}

fn full() -> Error {
    let most = limits::SUBSCRIPTIONS;
    Error::new(ErrorCode::LimitExceeded, format!("there are {most} subscriptions, and no more at once"))
        .with_hint("unsubscribe from what is not needed")
}

/// Tells of changes of a resource for as long as it is there.
async fn watch(surface: &Surface, uri: &str, address: &Address, listener: &Listener) {
    let ended = async {
        if appeared(surface, address).await? {
            tell(surface, uri, listener).await?;
        }
        match address {
            Address::Session { selector, part } => {
                let session = surface.orchestrator().watch_session(selector).await?;
                watch_session(surface, uri, session, *part, listener).await
            }
            Address::Run { selector } => watch_run(surface, uri, selector, listener).await,
        }
    };
    if let Err(error) = ended.await {
        tracing::debug!(uri, %error, "the client is told of no more changes");
    }
}

/// Waits until the resource is there, which a stream may have been promised before; whether it was not.
async fn appeared(surface: &Surface, address: &Address) -> Result<bool> {
    let mut waited = false;
    loop {
        match check(surface, address).await {
            Err(error) if matches!(error.code, ErrorCode::SessionNotFound | ErrorCode::RunNotFound) => {
                waited = true;
                tokio::time::sleep(limits::APPEARANCE_PAUSE).await;
            }
            there => return there.map(|()| waited),
        }
    }
}

/// Whether the resource is there.
async fn check(surface: &Surface, address: &Address) -> Result<()> {
    match address {
        Address::Session { selector, .. } => drop(surface.orchestrator().session(selector).await?),
        Address::Run { selector } => drop(surface.orchestrator().run(selector).await?),
    }
    Ok(())
}

async fn watch_session(
    surface: &Surface,
    uri: &str,
    mut watch: SessionWatch,
    part: Part,
    listener: &Listener,
) -> Result<()> {
    loop {
        let is_there = match part {
            Part::Output => watch.output.changed().await.is_ok(),
            // Both show more than what was printed.
            Part::Screen | Part::Log => tokio::select! {
                printed = watch.output.changed() => printed.is_ok(),
                changed = watch.session.changed() => changed.is_ok(),
            },
        };
        tell(surface, uri, listener).await?;
        if !is_there {
            return Ok(());
        }
    }
}

async fn watch_run(surface: &Surface, uri: &str, selector: &str, listener: &Listener) -> Result<()> {
    let orchestrator = surface.orchestrator();
    let mut changes = orchestrator.watch_runs().await?;
    let mut known = orchestrator.run(selector).await?;
    while changes.changed().await.is_ok() {
        let now = orchestrator.run(known.run.as_str()).await?;
        if now == known {
            // It was another run, which may change thousands of times in a second.
            tokio::time::sleep(limits::UPDATE_PAUSE).await;
        } else {
            known = now;
            tell(surface, uri, listener).await?;
        }
    }
    Ok(())
}

/// Tells of one change. What changes meanwhile, and shortly after, is told by the next time.
async fn tell(surface: &Surface, uri: &str, listener: &Listener) -> Result<()> {
    while !surface.traffic().takes_progress() {
        tokio::time::sleep(limits::UPDATE_PAUSE).await;
    }
    let gone = |error: &dyn std::fmt::Display| Error::new(ErrorCode::ConnectionLost, error.to_string());
    match listener {
        Listener::Peer(peer) => {
            let update = ResourceUpdatedNotificationParam::new(uri);
            peer.notify_resource_updated(update).await.map_err(|error| gone(&error))?;
        }
        Listener::Stream(sink) => {
            sink.notify_resource_updated(uri).await.map_err(|error| gone(&error))?;
        }
    }
    tokio::time::sleep(limits::UPDATE_PAUSE).await;
    Ok(())
}
