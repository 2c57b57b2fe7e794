//! Messages between fifty agents: `cargo bench --bench messages`. Each sends to the next ones, in four
//! priorities, and every receiver checks that it got all that it was sent, in order within a priority.
//!
//! "engine" is the bus alone, with the records that it makes; "stored" commits them as the server does,
//! up to 256 inputs at once, with acknowledgements in messages of twenty. The baseline is a bare channel
//! for each agent, in the same run: it keeps no order of priority, and nothing in a crash.

use std::path::PathBuf;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use shellherd::clock::{Moment, Now, Timestamp};
use shellherd::engine::request::{BusRequest, NewAgent, NewMessage, NewSession};
use shellherd::engine::{BusReply, Defaults, Engine, Reply, Request, Step};
use shellherd::id::MessageId;
use shellherd::limits;
use shellherd::model::{Address, Dialect, Message, Priority, Record, RecoverySettings};
use shellherd::store::Store;
use tokio::sync::mpsc;
use uuid::Uuid;

const AGENTS: usize = 50;
const MESSAGES: usize = 10_000;
/// Messages that an agent takes, and acknowledges, at once.
const AT_ONCE: usize = 20;
const PRIORITIES: [Priority; 4] = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];

fn main() {
    divan::main();
}

#[divan::bench(args = [1, MESSAGES], sample_count = 20)]
fn bare_channels(bencher: Bencher, messages: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    bencher.counter(ItemsCount::new(messages)).bench_local(|| {
        runtime.block_on(async {
            let channels = (0..AGENTS).map(|_| mpsc::channel::<(usize, serde_json::Value)>(limits::MESSAGES));
            let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
            for number in 0..messages {
                let message = (number, payload(number));
                senders[number % AGENTS].send(message).await.expect("a receiver");
            }
            drop(senders);
            let mut got = 0;
            for mut receiver in receivers {
                while let Some((number, payload)) = receiver.recv().await {
                    assert_eq!(payload["number"], number);
                    got += 1;
                }
            }
            assert_eq!(got, messages);
        });
    });
}

#[divan::bench(args = [1, MESSAGES], sample_count = 20)]
fn engine(bencher: Bencher, messages: usize) {
    bencher.counter(ItemsCount::new(messages)).with_inputs(|| Post::new(None)).bench_local_values(
        |mut post| {
            post.deliver(messages);
            // Dropped out of the measured time.
            post
        },
    );
}

#[divan::bench(args = [1, MESSAGES], sample_count = 20)]
fn stored(bencher: Bencher, messages: usize) {
    bencher
        .counter(ItemsCount::new(messages))
        .with_inputs(|| {
            let name = format!("shellherd-bench-{}", Uuid::new_v4().simple());
            Post::new(Some(std::env::temp_dir().join(name)))
        })
        .bench_local_values(|mut post| {
            post.deliver(messages);
            post
        });
}

fn payload(number: usize) -> serde_json::Value {
    serde_json::json!({"number": number, "text": "build the next crate and tell me of it"})
}

/// An engine with fifty agents, and the store that it is committed to.
struct Post {
    engine: Engine,
    clock: Duration,
    store: Option<(Store, PathBuf)>,
    /// Records of inputs that are committed together.
    batch: Vec<Record>,
    inputs: usize,
}

impl Post {
    fn new(directory: Option<PathBuf>) -> Self {
        let defaults = Defaults {
            command_timeout: Duration::from_secs(60),
            idle_timeout: None,
            output_bytes: 1,
            max_concurrent: 1,
            attended: false,
            recovery: RecoverySettings::DEFAULT,
            cleanup_after: None,
        };
        let store = directory.map(|directory| (Store::open(&directory).expect("a store").0, directory));
        let engine = Engine::new(defaults);
        let mut post = Self { engine, clock: Duration::from_secs(1), store, batch: Vec::new(), inputs: 0 };
        for number in 0..AGENTS {
            let create = Request::CreateSession {
                uuid: Uuid::from_u128(number as u128 + 1),
                new: Box::new(NewSession::default()),
                shell: "/bin/sh".into(),
                dialect: Dialect::Posix,
                directory: "/".into(),
                command_uuid: Uuid::from_u128(0),
            };
            let Reply::Session(session) = post.request(create) else { panic!("no session") };
            let new = NewAgent { id: Some(format!("agent-{number}")), ..NewAgent::default() };
            post.request(Request::Bus(BusRequest::Register { session: session.id.to_string(), new }));
        }
        post.commit();
        post
    }

    fn request(&mut self, request: Request) -> Reply {
        self.clock += Duration::from_micros(10);
        let wall = i64::try_from(self.clock.as_millis()).expect("a short run");
        let now = Now { moment: Moment(self.clock), wall: Timestamp(wall) };
        let mut step = Step::default();
        let reply = self.engine.request(now, request, &mut step).expect("is accepted");
        self.engine.elapse(now, &mut step);
        self.batch.extend(self.engine.records(&step));
        self.inputs += 1;
        if self.inputs == limits::DISPATCHER_BATCH {
            self.commit();
        }
        reply
    }

    fn commit(&mut self) {
        self.inputs = 0;
        let records = std::mem::take(&mut self.batch);
        if let Some((store, _)) = &mut self.store {
            store.commit(&records).expect("is written");
        }
    }

    /// Sends so many messages, and has them received and acknowledged.
    fn deliver(&mut self, messages: usize) {
        for number in 0..messages {
            let new = NewMessage {
                from: "bench".to_owned(),
                to: vec![Address::Name(format!("agent-{}", number % AGENTS))],
                message_type: "work".to_owned(),
                payload: payload(number),
                // Each agent gets all of them.
                priority: Some(PRIORITIES[number / AGENTS % PRIORITIES.len()]),
                reply_to: None,
                ttl: None,
            };
            let uuid = Uuid::from_u128(1_000_000 + number as u128);
            self.request(Request::Bus(BusRequest::Send { uuid, new: Box::new(new) }));
        }
        let mut got = 0;
        for agent in 0..AGENTS.min(messages) {
            let mut last: Option<(Priority, u64)> = None;
            let mut received = Vec::new();
            loop {
                let inbox = self.receive(format!("agent-{agent}"), std::mem::take(&mut received));
                if inbox.is_empty() {
                    break;
                }
                for message in &inbox {
                    let is_next = last.is_none_or(|(priority, number)| {
                        priority > message.priority
                            || (priority == message.priority && number < message.number)
                    });
                    assert!(is_next, "reordered: {last:?} before {message:?}");
                    last = Some((message.priority, message.number));
                }
                got += inbox.len();
                received = inbox.iter().map(|message| message.id.clone()).collect();
            }
        }
        self.commit();
        assert_eq!(got, messages, "none is lost, and none comes twice");
    }

    fn receive(&mut self, agent: String, received: Vec<MessageId>) -> Vec<std::sync::Arc<Message>> {
        let request = BusRequest::Receive { agent, received, types: Vec::new(), most: AT_ONCE };
        match self.request(Request::Bus(request)) {
            Reply::Bus(BusReply::Received(received)) => received.messages,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some((store, directory)) = self.store.take() {
            drop(store);
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}
