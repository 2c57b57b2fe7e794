//! Agents and their messages, over the wire.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Client, Scratch};

fn agent(client: &mut Client, id: &str, more: Value) -> String {
    let session = client.clean("sh");
    let mut arguments = json!({"sessionId": session, "agentId": id});
    arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    client.ok("agent_register", arguments);
    session
}

fn send(client: &mut Client, to: &Value, payload: &Value, priority: &str) -> Value {
    let message = json!({"from": "lead", "to": to, "payload": payload, "priority": priority});
    client.ok("message_send", message)
}

fn payloads(inbox: &Value) -> Vec<&Value> {
    inbox["messages"].as_array().expect("messages").iter().map(|message| &message["payload"]).collect()
}

#[test]
fn messages_reach_those_they_are_for_until_they_are_acknowledged() {
    let mut client = Client::start();
    agent(&mut client, "lead", json!({"role": {"title": "lead"}, "priority": "high"}));
    agent(&mut client, "rust-1", json!({"capabilities": ["rust"]}));
    agent(&mut client, "rust-2", json!({"capabilities": ["rust"], "messageTypes": ["order"]}));
    let sent = send(&mut client, &json!({"capability": "rust"}), &json!("for all who can"), "low");
    assert_eq!(sent["recipients"], json!(["rust-1"]), "the other takes orders only: {sent}");
    let sent = send(&mut client, &json!(["rust-1", "nobody"]), &json!({"do": [1, null]}), "critical");
    assert_eq!((&sent["recipients"], &sent["notReached"]), (&json!(["rust-1"]), &json!(["nobody"])));
    let nobody = send(&mut client, &json!("*-9"), &json!(1), "low");
    assert_eq!(nobody["recipients"], json!([]), "{nobody}");
    let order = json!({"from": "lead", "to": "*", "messageType": "order", "payload": "all", "ttl": "1h"});
    assert_eq!(client.ok("message_send", order)["recipients"], json!(["rust-1", "rust-2"]));

    let listed = client.ok("agent_list", json!({"pattern": "rust-*"}));
    assert_eq!((&listed["total"], &listed["agents"][0]["queueDepth"]), (&json!(2), &json!(3)), "{listed}");
    let inbox = client.ok("message_receive", json!({"agentId": "rust-1", "max": 2}));
    assert_eq!(payloads(&inbox), [&json!({"do": [1, null]}), &json!("all")], "by priority: {inbox}");
    assert_eq!(inbox["messages"][1]["priority"], "high", "as urgent as its sender: {inbox}");
    assert_eq!(inbox["remaining"], 1, "{inbox}");
    let first = inbox["messages"][0]["messageId"].clone();
    let inbox = client.ok("message_receive", json!({"agentId": "rust-1", "ack": [first, "msg_unknown"]}));
    assert_eq!(payloads(&inbox), [&json!("all"), &json!("for all who can")], "again: {inbox}");
    assert_eq!(inbox["acknowledged"], 1, "{inbox}");
    let inbox = client.ok("message_receive", json!({"agentId": "rust-1", "ack": true, "types": ["order"]}));
    assert_eq!((payloads(&inbox).len(), &inbox["acknowledged"]), (1, &json!(1)), "{inbox}");
    let inbox = client.ok("message_receive", json!({"agentId": "rust-1", "ack": true}));
    assert_eq!(payloads(&inbox), [&json!("for all who can")], "{inbox}");
    let empty = client.ok("message_receive", json!({"agentId": "rust-1"}));
    assert_eq!(empty, json!({"messages": []}));
}

#[test]
fn a_receiver_that_waits_is_woken_and_a_cancelled_one_changes_nothing() {
    let mut client = Client::start();
    agent(&mut client, "a", json!({}));
    let waiting = client.send_call("message_receive", json!({"agentId": "a", "wait": "40s"}));
    let other = client.send_call("message_receive", json!({"agentId": "a", "wait": "40s", "types": ["x"]}));
    client.notify("notifications/cancelled", json!({"requestId": other}));
    send(&mut client, &json!("a"), &json!("wake up"), "low");
    let inbox = client.outcome(waiting).structured;
    assert_eq!(payloads(&inbox), [&json!("wake up")], "{inbox}");
    assert_eq!(payloads(&client.ok("message_receive", json!({"agentId": "a"}))).len(), 1);
    let leaving = client.send_call("agent_deregister", json!({"agentId": "a", "timeout": "40s"}));
    client.ok("message_receive", json!({"agentId": "a", "ack": true}));
    assert_eq!(client.outcome(leaving).structured, json!({"agentId": "a", "drained": true}));
}

#[test]
fn a_crash_loses_no_message_and_brings_none_back() {
    let state = Scratch::new("messages");
    let mut client = Client::start_in(state.path());
    agent(&mut client, "a", json!({}));
    let all: Vec<Value> = (0..40).map(|n| json!({"number": n})).collect();
    for payload in &all {
        send(&mut client, &json!("a"), payload, "medium");
    }
    let inbox = client.ok("message_receive", json!({"agentId": "a", "max": 15}));
    let ids: Vec<&Value> =
        inbox["messages"].as_array().expect("messages").iter().map(|message| &message["messageId"]).collect();
    let acknowledged = client.ok("message_receive", json!({"agentId": "a", "max": 0, "ack": ids}));
    assert_eq!(acknowledged["acknowledged"], 15, "{acknowledged}");
    client.signal(Signal::KILL);
    client.until_exit();

    let mut client = Client::start_in(state.path());
    let listed = client.ok("agent_list", json!({}));
    assert_eq!(listed["agents"][0]["status"], "offline", "{listed}");
    agent(&mut client, "a", json!({}));
    let inbox = client.ok("message_receive", json!({"agentId": "a", "max": 1_000}));
    assert_eq!(payloads(&inbox), all[15..].iter().collect::<Vec<_>>(), "{inbox}");
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let mut client = Client::start();
    let session = agent(&mut client, "a", json!({}));
    let other = client.clean("sh");
    let large = "word ".repeat(20_000);
    for (tool, arguments, code) in [
        ("agent_register", json!({"sessionId": other, "agentId": "a"}), "duplicate_id"),
        ("agent_register", json!({"sessionId": other, "agentId": "b*"}), "invalid_argument"),
        ("agent_register", json!({"sessionId": other, "agentId": " "}), "invalid_argument"),
        ("agent_register", json!({"sessionId": "ses_none"}), "session_not_found"),
        ("agent_register", json!({"sessionId": other, "role": large}), "invalid_argument"),
        ("agent_deregister", json!({"agentId": "b"}), "agent_not_found"),
        ("message_receive", json!({"agentId": "b"}), "agent_not_found"),
        ("message_receive", json!({"agentId": "a", "max": -1}), "invalid_argument"),
        ("message_receive", json!({"agentId": "a", "ack": "all"}), "invalid_argument"),
        ("message_receive", json!({"agentId": "a", "ack": ["cmd_abcdef"]}), "invalid_argument"),
        ("message_send", json!({"to": "a"}), "invalid_argument"),
        ("message_send", json!({"payload": 1}), "invalid_argument"),
        ("message_send", json!({"to": {"capabilty": "x"}, "payload": 1}), "invalid_argument"),
        ("message_send", json!({"to": "a", "payload": large}), "invalid_argument"),
        ("message_send", json!({"to": "a", "payload": 1, "ttl": 0}), "invalid_argument"),
        ("message_send", json!({"to": "a", "payload": 1, "priority": "urgent"}), "invalid_argument"),
    ] {
        let shown = arguments.to_string();
        assert_eq!(client.call(tool, arguments).code(), code, "{tool} {shown:.80}");
    }
    let listed = client.ok("agent_list", json!({}));
    let only = json!([{"agentId": "a", "sessionId": session, "status": "idle"}]);
    assert_eq!((&listed["agents"], &listed["total"]), (&only, &json!(1)));
    client.ok("session_close", json!({"sessionId": session}));
    let closed = client.call("agent_register", json!({"sessionId": session}));
    assert_eq!(closed.code(), "session_closed", "{closed:?}");
}

#[test]
fn thousands_of_messages_arrive_once_and_in_order() {
    let mut client = Client::start();
    let agents: Vec<String> = (0..10).map(|number| format!("agent-{number}")).collect();
    for id in &agents {
        agent(&mut client, id, json!({}));
    }
    let words = ["low", "medium", "high", "critical"];
    // One after the other to each: calls that are on their way together overtake each other.
    for round in 0..200_usize {
        let priority = words[round % 4];
        let calls: Vec<u64> = (0..10)
            .map(|n| {
                let message = json!({"to": agents[n], "payload": round * 10 + n, "priority": priority});
                client.send_call("message_send", message)
            })
            .collect();
        for call in calls {
            let outcome = client.outcome(call);
            assert_eq!(outcome.structured["recipients"].as_array().map(Vec::len), Some(1), "{outcome:?}");
        }
    }
    for (number, id) in agents.iter().enumerate() {
        let mut got = Vec::new();
        loop {
            let inbox = client.ok("message_receive", json!({"agentId": id, "max": 60, "ack": true}));
            let here: Vec<u64> = payloads(&inbox).iter().map(|n| n.as_u64().expect("a number")).collect();
            if here.is_empty() {
                break;
            }
            got.extend(here);
        }
        let mut wanted: Vec<u64> = (0..200).map(|n| n * 10 + number as u64).collect();
        wanted.sort_by_key(|n| (std::cmp::Reverse((n / 10) % 4), *n));
        assert_eq!(got, wanted, "{id}");
    }
}

#[test]
fn what_one_receiver_acknowledged_is_given_to_no_other() {
    let mut client = Client::start();
    agent(&mut client, "a", json!({}));
    let receive = json!({"agentId": "a", "max": 1, "wait": "40s", "ack": true});
    let waiting: Vec<u64> = (0..5).map(|_| client.send_call("message_receive", receive.clone())).collect();
    let sent: Vec<Value> = (0..5).map(|n| json!(n)).collect();
    for payload in &sent {
        send(&mut client, &json!("a"), payload, "medium");
    }
    let mut got = Vec::new();
    for call in waiting {
        let inbox = client.outcome(call).structured;
        assert_eq!(inbox["acknowledged"], 1, "{inbox}");
        got.extend(payloads(&inbox).into_iter().cloned());
    }
    got.sort_by_key(Value::as_u64);
    assert_eq!(got, sent);
    for payload in 0..60 {
        send(&mut client, &json!("a"), &json!(payload), "medium");
    }
    let at_once = json!({"agentId": "a", "max": 10, "ack": true});
    let calls: Vec<u64> = (0..10).map(|_| client.send_call("message_receive", at_once.clone())).collect();
    let mut got = Vec::new();
    for call in calls {
        let inbox = client.outcome(call).structured;
        got.extend(payloads(&inbox).into_iter().filter_map(Value::as_u64));
    }
    got.sort_unstable();
    assert_eq!(got, (0..60).collect::<Vec<u64>>(), "each once, and all of them");
}
