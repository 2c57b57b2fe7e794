//! Every bound of the server, in one place, each with its reason.

use std::time::Duration;

// Sessions and commands

/// Live sessions. A bash takes 0.5 MB; the descriptors of a thousand fit an ordinary limit of 4,096.
pub const SESSIONS: usize = 1_000;
/// Descriptors that a session takes: its terminal, its process, its log, and one to spare.
pub const SESSION_DESCRIPTORS: usize = 4;
/// Ended sessions kept in memory for `session_list`; older ones stay in the store.
pub const ENDED_SESSIONS: usize = 1_000;
/// Commands that wait behind a running one in a session. A caller that far ahead has lost control.
pub const QUEUED_COMMANDS: usize = 100;
/// Commands kept in memory after their end, over all sessions; older ones are read from the store.
pub const ENDED_COMMANDS: usize = 10_000;
/// Bytes of a command's text. Longer scripts belong in a file.
pub const COMMAND_BYTES: usize = 1 << 20;
/// Bytes of an ended command's text that are kept.
pub const ENDED_TEXT_BYTES: usize = 8 << 10;
/// Commands of one `command_batch`, and sessions of one `command_broadcast`.
pub const BATCH: usize = 100;
/// Bytes of one `session_input`. The terminal takes 4 kB at a time; this is what may wait for it.
pub const INPUT_BYTES: usize = 1 << 20;
/// Bytes of a name, a capability, a constraint or a reason.
pub const NAME_BYTES: usize = 256;
/// Bytes of a session's metadata as JSON.
pub const METADATA_BYTES: usize = 64 << 10;
/// Templates of sessions. A model reads the list of them at once.
pub const TEMPLATES: usize = 200;
/// Bytes of one template as JSON: twice the most metadata.
pub const TEMPLATE_BYTES: usize = 128 << 10;
/// Snapshots of sessions that the store keeps; then the oldest goes.
pub const SNAPSHOTS: usize = 1_000;
/// Bytes of what a session exported that its record keeps, names and values: each commit of it writes them.
pub const EXPORTED_BYTES: usize = 16 << 10;
/// Variables in an `env`. The kernel takes about 2 MB of arguments and environment in all.
pub const ENV_ENTRIES: usize = 1_000;
/// Bytes of one variable of an `env`; the kernel takes 128 kB for one string.
pub const ENV_BYTES: usize = 100 << 10;
/// Bytes of all variables of an `env` together, names and values.
pub const ENV_TOTAL_BYTES: usize = 1 << 20;
/// Rows and columns of a terminal. Beyond this programs misbehave, and a screen takes megabytes.
pub const TERMINAL_SIDE: u16 = 1_000;
/// The longest duration that a caller may name: a week.
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Retries of one command.
pub const RETRIES: u32 = 100;

// Tasks

/// Tasks of one run, and of all runs together that are not over.
pub const TASKS: usize = 100_000;
/// Runs that are not over.
pub const RUNS: usize = 100;
/// Runs kept in memory after their end; older ones are read from the store.
pub const ENDED_RUNS: usize = 1_000;
/// Tasks in them.
pub const ENDED_TASKS: usize = 100_000;
/// Slots of a run that names none.
pub const MAX_CONCURRENT: u32 = 10;
/// The most slots that a run may have.
pub const MOST_CONCURRENT: u32 = 1_000;
/// Pooled sessions at once. More shells than this at work on one machine only get into each other's way.
pub const POOL: usize = 128;
/// How long a pooled session stays when there is nothing to do.
pub const POOL_IDLE: Duration = Duration::from_secs(60);
/// How long a pooled session may take to its first prompt. Start-up files that ask questions never end.
pub const POOL_START: Duration = Duration::from_secs(30);
/// Pooled sessions in a row that may fail to start before the tasks that wait for one are given up.
pub const POOL_FAILURES: u32 = 3;
/// Members of a pool that may end before a command begins in them without that being its failure. More of them
/// do not end by chance.
pub const WITHDRAWN: u8 = 3;
/// Pools of warm sessions at once.
pub const POOLS: usize = 50;
/// Sessions that one of them keeps warm.
pub const POOL_SIZE: usize = 100;
/// Sessions, and globs over them, that run what names another one.
pub const AFFINITY_TARGETS: usize = 100;
/// A task that became ready less than this after one of lower priority goes before it all the same.
pub const AGEING: Duration = Duration::from_secs(60);
/// The timeout of a task that names none. What hangs must not hold up a run for ever.
pub const TASK_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Pieces of work whose duration is remembered.
pub const ESTIMATES: usize = 10_000;
/// Bytes of a file of tasks: 640 for each of the most that there may be.
pub const RUN_FILE_BYTES: u64 = 64 << 20;
/// Values and lists in such a file of YAML: forty for each of the most tasks.
pub const RUN_FILE_NODES: usize = 4_000_000;
/// Values and lists in it that stand for an alias. A bomb of aliases would take all memory.
pub const RUN_FILE_ALIASED: usize = 200_000;
/// Estimated tokens of what is answered to it: no id of such a file is left out.
pub const RUN_FILE_TOKENS: usize = 64 << 20;
/// How often the load of the machine is looked at while a run depends on it.
pub const LOAD_EVERY: Duration = Duration::from_secs(1);

// Recovery

/// Attempts at bringing a session back, unless configured.
pub const RECOVERY_RETRIES: u32 = 3;
/// The most attempts that may be asked for.
pub const MOST_RECOVERY_RETRIES: u32 = 20;
/// The pause before the second attempt, unless configured; it doubles with each.
pub const RECOVERY_DELAY: Duration = Duration::from_secs(2);
/// The longest pause between two attempts.
pub const LONGEST_RECOVERY_DELAY: Duration = Duration::from_secs(60);
/// All attempts of one recovery together, unless configured.
pub const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a fresh shell may take to its first prompt before the attempt has failed.
pub const RECOVERY_START: Duration = Duration::from_secs(15);
/// How long a shell that was stopped may take to go on once it was told to.
pub const RESUME_GRACE: Duration = Duration::from_secs(2);
/// A shell that lives this long after its recovery is well: its next failure counts as the first.
pub const RECOVERED_AFTER: Duration = Duration::from_secs(60);
/// Bytes of the commands that a dead session keeps for being put back.
pub const LOST_BYTES: usize = 2 << 20;
/// Bytes of a shell's exported variables that are kept for the next.
pub const KEPT_ENVIRONMENT: u64 = 2 << 20;
/// Failures in a row that open a circuit, unless configured.
pub const CIRCUIT_FAILURES: u32 = 5;
/// The most failures that may be configured for that.
pub const MOST_CIRCUIT_FAILURES: u32 = 100;
/// How long a circuit stays open, unless configured.
pub const CIRCUIT_OPEN: Duration = Duration::from_secs(30);
/// Command lines of which failures are remembered; the one that failed longest ago is forgotten.
pub const CIRCUITS: usize = 1_000;
/// Tasks that go on at once when the circuit closes that held them back: what they need has only just come back.
pub const RELEASED_AT_ONCE: u32 = 100;
/// And after how long as many more do: ten thousand take two seconds.
pub const RELEASE_PAUSE: Duration = Duration::from_millis(20);
/// Characters of a command line that name its circuit; a hash stands for the rest.
pub const CIRCUIT_KEY: usize = 200;

// Queues

/// Inputs waiting for the dispatcher. At 20 µs each a full queue is 80 ms of work.
pub const DISPATCHER_QUEUE: usize = 4_096;
/// Inputs that the dispatcher takes, and commits, together.
pub const DISPATCHER_BATCH: usize = 256;
/// Orders waiting for one session's worker.
pub const WORKER_QUEUE: usize = 256;
/// Tool calls being served at once; the next ones wait.
pub const CALLS_AT_ONCE: usize = 256;
/// Tool calls waiting for a permit; one more is answered `overloaded`.
pub const CALLS_WAITING: usize = 4_096;
/// Threads beside the runtime, for output that takes long to lay out and processes that take long to
/// die. More would only take the processor from the runtime itself.
pub const BLOCKING_THREADS: usize = 16;
/// Bytes of one JSON-RPC message from the client: 330 for each of the most tasks. A 1 MB command takes up
/// to 6 MB when escaped.
pub const MESSAGE_BYTES: usize = 32 << 20;
/// Response bytes that a client may leave unread before new calls are refused.
pub const UNREAD_BYTES: usize = 32 << 20;
/// Bytes that a client may leave unread before it is sent no more progress, which is worth nothing when
/// it is read late: a pipe's and a half.
pub const UNREAD_PROGRESS: usize = 96 << 10;

// Clients over HTTP

/// Connections at once. A client takes one for each call that is under way, and one to be told of news.
pub const HTTP_CONNECTIONS: usize = 256;
/// Connections between the handshake and the farewell of a client of the older protocol era: MCP's own
/// sessions. One more takes the place of the one that is idle for the longest.
pub const HTTP_SESSIONS: usize = 64;
/// How long such a session may stay without a request and without a stream that is open. People go to
/// lunch; a client that comes back later is told to shake hands again.
pub const HTTP_IDLE: Duration = Duration::from_secs(2 * 3_600);
/// Between two looks for idle ones.
pub const HTTP_SWEEP: Duration = Duration::from_secs(60);
/// Bytes of the head of a request; one with a token and a protocol version has 600.
pub const HTTP_HEAD_BYTES: usize = 64 << 10;
/// How long the head of a request may take, and how long a connection may be idle before it is closed.
pub const HTTP_HEAD_WAIT: Duration = Duration::from_secs(60);
/// How long the body of a request may take: the longest message comes in a second.
pub const HTTP_BODY_WAIT: Duration = Duration::from_secs(30);
/// Bytes of all bodies that are being read: two of the longest messages.
pub const HTTP_BODIES_BYTES: usize = 2 * MESSAGE_BYTES;
/// Bytes of a file with the token that clients present.
pub const HTTP_TOKEN_BYTES: u64 = 4 << 10;

// Agents

/// Agents of one server.
pub const AGENTS: usize = 1_000;
/// Characters of an agent's id, a capability or a type of message.
pub const AGENT_WORD: usize = 128;
/// Bytes of an agent's role, capabilities and types of messages together, as JSON: one agent always fits into
/// a result.
pub const AGENT_BYTES: usize = 4 << 10;
/// Messages that one agent may have waiting; one more is refused as `overloaded`.
pub const MESSAGES: usize = 1_000;
/// Bytes of all waiting messages together, as JSON: what a server holds in memory for them.
pub const MESSAGES_BYTES: usize = 64 << 20;
/// How much later than its time the server lets an agent go whose leave nobody waits for any more: who does
/// wait says when it is up.
pub const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// How long `agent_deregister` lets an agent take what it was sent.
pub const DRAIN_WAIT: Duration = Duration::from_secs(30);

/// How long a session that was made for an agent's program stays when there is nothing to do: whoever gave
/// the prompt may have another.
pub const AGENT_IDLE: Duration = Duration::from_secs(600);

// Context

/// Messages of one session's context, what compressions left out included: days of an agent's work.
pub const CONTEXT_MESSAGES: u64 = 10_000;
/// Bytes of one of them: what a tool prints at a time. Longer output is in the session's log already.
pub const CONTEXT_MESSAGE_BYTES: usize = 256 << 10;
/// Bytes of one session's context, which is read into memory as a whole.
pub const CONTEXT_BYTES: u64 = 16 << 20;
/// Bytes of the contexts of all sessions that the store keeps: they take room on the disk only.
pub const CONTEXTS_BYTES: u64 = 1 << 30;
/// Tokens that a caller may say a message costs: more than any model reads at once.
pub const CONTEXT_TOKENS: u64 = 10_000_000;
/// Messages at the end of a context that a compression leaves as they are, unless it says otherwise.
pub const CONTEXT_RECENT: usize = 10;
/// Tokens of an older message with a decision or an error up to which it stays whole.
pub const CONTEXT_SHORT: u64 = 200;

// Output

/// Bytes of a session's latest output kept in memory; the screen is replayed from them.
pub const OUTPUT_RING: usize = 256 << 10;
/// Bytes of one file of a session's output on disk.
pub const OUTPUT_SEGMENT: u64 = 4 << 20;
/// Bytes of a session's output kept on disk unless `outputBufferSize` says otherwise.
pub const OUTPUT_ARCHIVE: u64 = 256 << 20;
/// Bytes that one read takes from a terminal; the line discipline gives at most about 4 kB.
pub const TERMINAL_READ: usize = 16 << 10;
/// The longest mark of ours, in bytes; a longer look-alike is output.
pub const MARK_BYTES: usize = 160;
/// Bytes of one rendered line; the rest of a longer one is a line of its own.
pub const LINE_BYTES: usize = 1 << 20;
/// Estimated tokens of one result, unless configured.
pub const RESULT_TOKENS: usize = 8_000;
/// Bytes at the end of a command's output in which errors and figures are recognised: a tenth of a second.
pub const PARSED_BYTES: u64 = 2 << 20;
/// Errors that are told of one output; the rest is counted. Whoever mends ten runs the tool again.
pub const PARSED_ERRORS: usize = 10;
/// Bytes of the message of one, and of its file's name.
pub const PARSED_TEXT_BYTES: usize = 300;
/// Bytes of an output that is compared with an earlier one: laid out and compared in a tenth of a second.
pub const COMPARED_BYTES: u64 = 1 << 20;
/// Lines that are compared, without those at both ends that are the same. At worst their square counts.
pub const COMPARED_LINES: usize = 5_000;
/// The longest regular expression, and the size of its compiled form, in bytes.
pub const PATTERN_BYTES: usize = 1_000;
/// See [`PATTERN_BYTES`].
pub const PATTERN_COMPILED: usize = 1 << 20;
/// Secrets that one session's output is searched for, each line of one counted. A private key of 8,192
/// bits has a hundred lines; a search takes under a microsecond for 4 kB.
pub const SECRETS: usize = 256;
/// Configured patterns that every session's output is searched for.
pub const SECRET_PATTERNS: usize = 32;
/// The longest match of such a pattern in bytes, within a line: so much of a line is looked at again when
/// more of it comes.
pub const SECRET_MATCH: usize = 1 << 10;
/// The shortest secret that is searched for: shorter ones would blot out ordinary words.
pub const SECRET_BYTES: usize = 6;
/// Ended sessions that the store keeps, with their commands: some weeks of heavy use.
pub const STORED_SESSIONS: usize = 5_000;
/// Bytes of output that ended sessions keep on disk, all together; the oldest goes first. That is 16
/// sessions that filled theirs, or 800 kB for each that is kept.
pub const STORED_OUTPUT: u64 = 4 << 30;
/// Between two looks at what ended sessions keep: one at 5,000 takes a tenth of a second.
pub const SWEEP_PAUSE: Duration = Duration::from_secs(60);
/// Events kept in the store; the oldest go first.
pub const EVENTS: usize = 100_000;
/// Tasks that are over without an attempt and have an event of their own each, of those of one run at
/// once. A run that is cancelled ends by the hundred thousand, which would leave nothing else to read.
pub const SKIP_EVENTS: usize = 256;
/// Events that the dispatcher looks through at a time for somebody who waits for some: 4 ms.
pub const EVENTS_AT_ONCE: usize = 2_000;
/// Events of one `events_poll`.
pub const EVENTS_POLLED: usize = 500;
/// The latest events, of which one shows those wanted that names no cursor.
pub const EVENTS_LATEST: usize = 1_000;
/// Between two looks for events by one who waits for them: there may be thousands in a second.
pub const EVENTS_PAUSE: Duration = Duration::from_millis(50);
/// Log messages that a client is sent at once; of the rest it is told where to read them.
pub const NOTICES_AT_ONCE: usize = 20;
/// Between two times that a client is sent some.
pub const NOTICES_PAUSE: Duration = Duration::from_millis(250);
/// Sessions and runs in one page of resources: 20 kB.
pub const RESOURCES_PAGE: usize = 25;
/// Bytes of one argument of a prompt: a hundred commands of a line each.
pub const PROMPT_BYTES: usize = 16 << 10;
/// Tasks that are looked through for the completion of an id.
pub const COMPLETED_TASKS: usize = 10_000;
/// Resources that a client subscribes to at once. Each costs a few hundred bytes while nothing changes.
pub const SUBSCRIPTIONS: usize = 100;
/// Between two looks for what was subscribed to before it was there.
pub const APPEARANCE_PAUSE: Duration = Duration::from_secs(1);
/// Between two updates of one subscription: at most four in a second.
pub const UPDATE_PAUSE: Duration = Duration::from_millis(250);
/// Webhooks that are registered at once.
pub const WEBHOOKS: usize = 20;
/// Bytes of a webhook's URL.
pub const URL_BYTES: usize = 2_000;
/// Events in one delivery to a webhook: 30 kB.
pub const WEBHOOK_EVENTS: usize = 100;
/// Deliveries that wait for one webhook, whose receiver may be away for a while.
pub const WEBHOOK_QUEUE: usize = 64;
/// Deliveries under way at once; each takes one of the [`BLOCKING_THREADS`].
pub const WEBHOOKS_AT_ONCE: usize = 4;
/// How long a receiver may take to answer.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of one delivery.
pub const WEBHOOK_ATTEMPTS: u32 = 5;
/// Between the first try and the second; each further pause is twice as long.
pub const WEBHOOK_RETRY: Duration = Duration::from_secs(1);
/// Between two looks for events to deliver: what happens in between goes out together.
pub const WEBHOOK_PAUSE: Duration = Duration::from_millis(500);
/// How long after its end a session is removed, unless configured.
pub const CLEANUP_AFTER: Duration = Duration::from_secs(3_600);
/// Between two looks for sessions to be removed.
pub const CLEANUP_EVERY: Duration = Duration::from_secs(300);
/// Entries of one `session_logs`.
pub const LOG_ENTRIES: usize = 1_000;

/// Samples of what the machine and the sessions use, kept in the store for each resolution; the oldest go
/// first. That is a month of a hundred sessions by the quarter of an hour, or 15 MB.
pub const SAMPLES: usize = 300_000;
/// The most points of one history. A model reads a page of them at a time.
pub const HISTORY_POINTS: usize = 1_000;

// Diagnosis

/// Bytes of a problem that a caller describes; the end of a log fits.
pub const PROBLEM_BYTES: usize = 64 << 10;
/// Sessions that one `diagnose` looks at. Each takes a millisecond or two of the runtime's own time.
pub const DIAGNOSED_SESSIONS: usize = 50;

// Time

/// How often it is noted what the machine and the sessions use, unless configured.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Within these bounds: a look at a thousand processes takes 10 ms, and a minute is the next resolution.
pub const SAMPLE_PAUSES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60);
/// The longest history: what is older is not kept.
pub const HISTORY: Duration = Duration::from_secs(31 * 86_400);
/// Over how long a caller may have the load measured. Shorter than [`MEASURE_LEAST`] a tick of the
/// processor's clock is several percent, and a silent call must not be longer.
pub const MEASURE_MOST: Duration = Duration::from_secs(30);
/// See [`MEASURE_MOST`].
pub const MEASURE_LEAST: Duration = Duration::from_millis(200);
/// What tuning and rates of errors and commands are judged by: this much of the latest past.
pub const OF_LATE: Duration = Duration::from_secs(3_600);
/// The timeout of a command that names none.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a silent call blocks: clients give up after 60 s.
pub const SILENT_WAIT: Duration = Duration::from_secs(45);
/// How long a call that reports progress blocks unless it says how long. Progress keeps most clients' timers
/// from running out, but Codex gives up after 300 s all the same.
pub const TALKING_WAIT: Duration = Duration::from_secs(240);
/// The longest that any call blocks.
pub const LONGEST_WAIT: Duration = Duration::from_secs(86_400);
/// Progress notifications come at least this often.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at tasks that a call waits for: what changed is reported then.
pub const TASK_PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How long `session_create` waits for the first prompt. Start-up files that ask questions never end.
pub const READY_WAIT: Duration = Duration::from_secs(10);
/// Between SIGINT and SIGKILL of a command that outlived its timeout.
pub const INTERRUPT_GRACE: Duration = Duration::from_secs(5);
/// How long what passes a limit of memory may take to end by itself: it may go on taking more.
pub const MEMORY_GRACE: Duration = Duration::from_millis(500);
/// The same for a limit of processes. What forks at all doubles in a few milliseconds.
pub const PROCESS_GRACE: Duration = Duration::from_millis(50);
/// What the kernel may hold for the processes of a session beside their own memory, before it ends one of
/// them for a limit: page tables, stacks and buffers of some hundred.
pub const KERNEL_MEMORY: u64 = 8 << 20;
/// Where the kernel refuses more processes, which it counts with their threads: so many for each that is
/// allowed, and [`SPARE_THREADS`] for a few that have hundreds.
pub const THREADS_PER_PROCESS: u64 = 16;
/// See [`THREADS_PER_PROCESS`].
pub const SPARE_THREADS: u64 = 256;
/// Between two looks at a tree whose memory or CPU time is bounded.
pub const LIMIT_PAUSE: Duration = Duration::from_millis(500);
/// The same where the number of processes is bounded: a thousand more come in half a second.
pub const PROCESS_PAUSE: Duration = Duration::from_millis(100);
/// The lowest bound on memory that can be set, in bytes: a shell alone takes half of it.
pub const LEAST_MEMORY: u64 = 8 << 20;
/// The lowest bound on CPU time that can be set: clean shells start in less.
pub const LEAST_CPU_TIME: Duration = Duration::from_millis(100);
/// The lowest bound on open files that can be set: shells keep theirs at ten and above.
pub const LEAST_OPEN_FILES: u32 = 32;
/// How often the health of everything is looked at, unless configured.
pub const HEALTH_EVERY: Duration = Duration::from_secs(30);
/// The shortest pause between two such looks: one reads a file of every process on the machine.
pub const HEALTH_LEAST: Duration = Duration::from_millis(500);
/// A running command without output and without CPU for this long is stale, unless configured.
pub const STALE_AFTER: Duration = Duration::from_secs(300);
/// How long `session_close` lets a session end by itself.
pub const CLOSE_GRACE: Duration = Duration::from_secs(30);
/// The same for mode `force`.
pub const FORCE_GRACE: Duration = Duration::from_secs(1);
/// How long the whole server may take to go down: clients kill it 400 ms after SIGTERM.
pub const SHUTDOWN: Duration = Duration::from_millis(300);
/// How long a shell that reads its start-up files may go on before it is hung up: cut short there, version
/// managers leave locks behind that hold up every shell after it. Clients that close the input wait for 2 s
/// before they signal; one that signals first cuts short only such shells.
pub const START_GRACE: Duration = Duration::from_secs(1);
/// How long the server may take while there are such shells.
pub const LONGEST_SHUTDOWN: Duration = SHUTDOWN.saturating_add(START_GRACE);
/// Output and input must be this quiet before a question of a program is answered.
pub const PROMPT_SETTLE: Duration = Duration::from_millis(250);
/// How long after a caller typed something the next question is left to the caller: keys may follow.
pub const CALLER_TYPES: Duration = Duration::from_secs(2);
/// Answers that a session is given in a minute. A person gives fewer; more of them run in a circle.
pub const ANSWERS_A_MINUTE: usize = 30;
/// How often in a row the same question is answered: a program that asks again did not take the answer.
pub const SAME_ANSWERS: u32 = 3;
/// Files that a session protects, each a glob of at most [`NAME_BYTES`]: every name in a question is matched
/// with each.
pub const PROTECTED_PATTERNS: usize = 64;
/// How long after the inline end mark a prompt is awaited before the next command is typed anyway.
pub const PROMPT_WAIT: Duration = Duration::from_millis(250);
/// Output must be this quiet before a running command is suspected to wait for input.
pub const AWAITING_AFTER: Duration = Duration::from_millis(150);
/// The longest pause between two looks at whether a silent command waits for input.
pub const AWAITING_EVERY: Duration = Duration::from_secs(2);
