//! Webhooks, with a receiver of our own on a local port.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use shellherd::webhook::{SIGNATURE, signature};

use crate::support::{Client, PATIENCE, Scratch};

/// A request as the receiver got it.
struct Posted {
    signature: String,
    body: String,
}

impl Posted {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a body of JSON")
    }

    fn types(&self) -> Vec<String> {
        let events = self.json()["events"].as_array().cloned().expect("events");
        events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
    }
}

/// A receiver that answers with these statuses in turn, and with the last one from then on.
struct Receiving {
    url: String,
    posts: Receiver<Posted>,
}

impl Receiving {
    fn answering(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/hook?token=abc", listener.local_addr().expect("an address"));
        let (sender, posts) = channel();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { return };
                let Some(posted) = read(BufReader::new(&stream)) else { continue };
                let status = statuses[number.min(statuses.len() - 1)];
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
                if sender.send(posted).is_err() {
                    return;
                }
            }
        });
        Self { url, posts }
    }

    fn next(&self) -> Posted {
        self.posts.recv_timeout(PATIENCE).expect("a delivery")
    }
}

fn read(mut request: impl BufRead) -> Option<Posted> {
    let (mut length, mut signature) = (0, String::new());
    loop {
        let mut line = String::new();
        request.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        } else if name.eq_ignore_ascii_case(SIGNATURE) {
            value.clone_into(&mut signature);
        }
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body).ok()?;
    Some(Posted { signature, body: String::from_utf8(body).ok()? })
}

#[test]
fn events_are_posted_with_a_signature_and_once() {
    let receiving = Receiving::answering(&[200]);
    let mut client = Client::start();
    let session = client.clean("bash");
    let arguments = json!({"url": receiving.url, "events": ["exit", "Error"], "secret": "open sesame"});
    let registered = client.call("webhook_register", arguments);
    assert!(!registered.text.contains("sesame") && !registered.text.contains("token"), "{registered:?}");
    let id = registered.structured["webhookId"].as_str().expect("an id").to_owned();
    client.run(&session, "exit 9");
    let posted = receiving.next();
    assert_eq!(posted.signature, signature("open sesame", posted.body.as_bytes()));
    assert_eq!(posted.json()["webhookId"], id.as_str());
    assert_eq!(posted.types(), ["exit", "error"], "in order, and none of another type: {}", posted.body);
    assert_eq!(posted.json()["events"][0]["exitCode"], 9);
    let other = client.clean("bash");
    client.run(&other, "exit 0");
    assert_eq!(receiving.next().types(), ["exit"], "only what is new");

    let listed = client.call("webhook_list", json!({}));
    let text = format!("{} {}", listed.text, listed.structured);
    assert!(!text.contains("sesame") && !text.contains("token"), "{text}");
    let hook = &listed.structured["webhooks"][0];
    assert_eq!((&hook["webhookId"], &hook["events"]), (&json!(id), &json!(["exit", "error"])));
    client.ok("webhook_delete", json!({"webhookId": id}));
    assert_eq!(client.ok("webhook_list", json!({}))["webhooks"], json!([]));
    assert_eq!(client.call("webhook_delete", json!({"webhookId": id})).code(), "invalid_argument");
}

#[test]
fn a_failed_delivery_is_tried_again_and_a_refused_one_is_not() {
    let (busy, gone) = (Receiving::answering(&[503, 200]), Receiving::answering(&[410]));
    let mut client = Client::start();
    let mut register = |receiving: &Receiving| {
        let secret = client.ok("webhook_register", json!({"url": receiving.url, "events": ["error"]}));
        secret["secret"].as_str().expect("one was made").to_owned()
    };
    let secret = register(&busy);
    register(&gone);
    let session = client.clean("bash");
    client.run(&session, "exit 9");
    let (first, second) = (busy.next(), busy.next());
    assert_eq!(first.body, second.body);
    assert_eq!(second.signature, signature(&secret, second.body.as_bytes()));
    gone.next();
    let hooks = loop {
        let hooks = client.ok("webhook_list", json!({}))["webhooks"].clone();
        if hooks[0]["delivered"] == 1 && hooks[1]["failed"] == 1 {
            break hooks;
        }
    };
    assert_eq!(hooks[0].get("lastError"), None, "{hooks}");
    assert_eq!(hooks[1]["lastError"], "the receiver answered 410", "{hooks}");
    assert!(gone.posts.try_recv().is_err(), "it is not tried again");
}

#[test]
fn a_receiver_that_hangs_holds_up_nothing_and_webhooks_outlive_the_server() {
    let state = Scratch::new("webhooks");
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", hanging.local_addr().expect("an address"));
    let receiving = Receiving::answering(&[200]);
    let mut client = Client::start_in(state.path());
    for url in [&url, &receiving.url] {
        client.ok("webhook_register", json!({"url": url, "events": ["exit"]}));
    }
    let session = client.clean("bash");
    client.run(&session, "exit 1");
    assert_eq!(receiving.next().types(), ["exit"], "beside the one that hangs");
    client.hang_up();
    let took = client.until_exit();
    assert!(took < PATIENCE / 6, "the post that hangs takes 10 s, the end of the server {took:?}");

    let mut client = Client::start_in(state.path());
    let session = client.clean("bash");
    client.run(&session, "exit 2");
    assert_eq!(receiving.next().json()["events"][0]["exitCode"], 2, "registered with the server before");
}

#[test]
fn what_nothing_can_be_posted_to_is_refused() {
    let mut client = Client::start();
    for url in ["example.org", "ftp://example.org/", "https://user:word@example.org/", "https://"] {
        let refused = client.call("webhook_register", json!({"url": url}));
        assert_eq!(refused.code(), "invalid_argument", "{url}: {refused:?}");
    }
    let refused = client.call("webhook_register", json!({"url": "http://localhost/", "events": ["all"]}));
    assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    assert_eq!(client.ok("webhook_list", json!({}))["webhooks"], json!([]), "nothing changed");
}
