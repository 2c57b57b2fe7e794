//! The table of patterns: how tools word what went wrong. A line belongs to the first rule that it
//! matches, so what is specific stands before what is general. A pattern is anchored to how a program says
//! a thing of itself (behind its name and a colon, at the end of a line, with a number), because the same
//! words stand in sources, logs and the names of tests. `(?P<what>…)` is what the line is about.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

use super::{Category, Ecosystem};

/// Whether a line says why, or only that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Cause,
    /// Also follows from other causes, and is told only where none of those is.
    Symptom,
}

/// One wording.
pub(super) struct Rule {
    pub(super) category: Category,
    pub(super) weight: Weight,
    pub(super) ecosystem: Option<Ecosystem>,
    pub(super) pattern: &'static str,
}

const fn cause(category: Category, pattern: &'static str) -> Rule {
    Rule { category, weight: Weight::Cause, ecosystem: None, pattern }
}

const fn symptom(category: Category, pattern: &'static str) -> Rule {
    Rule { category, weight: Weight::Symptom, ecosystem: None, pattern }
}

const fn missing(ecosystem: Ecosystem, pattern: &'static str) -> Rule {
    Rule { category: Category::MissingModule, weight: Weight::Cause, ecosystem: Some(ecosystem), pattern }
}

use Category::{
    Authentication, CommandNotFound, CompileError, ConnectionLost, ConnectionRefused, DiskFull, Dns, GitAuth,
    Killed, LockHeld, MergeConflict, MissingDependency, MissingFile, MissingModule, NetworkUnreachable,
    NoSpaceInotify, OutOfMemory, PermissionDenied, PortInUse, RateLimit, Segfault, SyntaxError, TestFailure,
    Timeout, Tls, TooManyOpenFiles, Unknown, VersionMismatch,
};
use Ecosystem::{Go, Node, Perl, Python, Ruby, Rust};

/// See the module.
pub(super) const RULES: &[Rule] = &[
    // What the system has run out of
    cause(
        NoSpaceInotify,
        r"(?i)limit for number of file watchers reached|inotify watch limit reached|limit on inotify watches",
    ),
    cause(
        NoSpaceInotify,
        r"(?i)inotify(?:_init1?|_add_watch)?\b.{0,80}(?:no space left on device|too many open files|reverting to polling)",
    ),
    cause(NoSpaceInotify, r"EMFILE: too many open files, watch"),
    cause(DiskFull, r"(?i)(?:^|: |\] |[(,] ?)(?:ENOSPC: )?no space left on device(?:$|[:,.; (\])'>])"),
    cause(
        DiskFull,
        r"(?i)(?:^|: |\] |, )(?:database or disk is full|disk quota exceeded)\b|^tar: \S+: Wrote only \d+ of \d+ bytes|\bYou don't have enough free space\b|\bout of disk ?space\b|\bkind: StorageFull\b|\b(?:not enough|insufficient) (?:disk |free )?space\b",
    ),
    cause(
        TooManyOpenFiles,
        r"(?i)(?:^|: |\] |- |[(,] ?)(?:E[MN]FILE: )?too many open files(?: in system)?(?:$|[:,.; (\])'>@])",
    ),
    cause(TooManyOpenFiles, r"cannot open shared object file: Error 24$"),
    cause(
        OutOfMemory,
        r"JavaScript heap out of memory|\bjava\.lang\.OutOfMemoryError\b|^MemoryError\b|'std::bad_alloc'|^memory allocation of \d+ bytes failed|\bNoMemoryError\b|^Out of memory\b",
    ),
    cause(
        OutOfMemory,
        r"(?i)(?:^|: |\] )(?:cannot allocate (?:memory|\d+ bytes)|virtual memory exhausted|memory exhausted|runtime: out of memory|CUDA out of memory|out of memory(?:$|[!:.,]))|Allowed memory size of \d+ bytes exhausted|Unable to allocate [\d.]+ [KMGT]iB|\bOOMKilled\b|\boom-kill\b|ENOMEM: |cannot allocate vector of size|^OOM command not allowed|Native memory allocation \(\w+\) failed",
    ),
    cause(PortInUse, r"(?i)(?:[\s\]\d*]:|port )(?P<what>\d{2,5})\b.{0,60}address already in use"),
    cause(PortInUse, r"(?i)address already in use:? \S*:(?P<what>\d{2,5})$"),
    cause(PortInUse, r"(?i)(?:: |\] |\(|^|: \x22)address already in use(?:$|[:.; )(\x22])"),
    cause(
        PortInUse,
        r"(?i)\bport (?P<what>\d{2,5})\b(?: is| was)? (?:already )?(?:in use|allocated|taken)\b|port is already allocated",
    ),
    // The network, from the name to the answer
    cause(
        Dns,
        r"(?i)could not resolve (?:host(?:name)?:? |proxy: )(?P<what>[\w.-]+)|could not translate host name \x22(?P<what2>[^\x22]+)",
    ),
    cause(
        Dns,
        r"Temporary failure resolving '(?P<what>[^']+)|Failed to resolve '(?P<what2>[^']+)|^curl: \([56]\)|\bcode ENOTFOUND$",
    ),
    cause(
        Dns,
        r"getaddrinfo (?:ENOTFOUND|EAI_AGAIN) (?P<what>\S+)|\bUnknownHostException: (?P<what2>[\w.-]+)|\blookup (?P<what3>\S+?):? (?:on \S+ )?(?:no such host|server misbehaving|i/o timeout)",
    ),
    cause(
        Dns,
        r"(?i)(?:: |\] |\()(?:name or service not known|temporary failure in name resolution|nodename nor servname provided|no address associated with hostname|no such host\b)|failed to lookup address information|unable to resolve host address|\bNXDOMAIN\b|: bad address '|php_network_getaddresses: getaddrinfo",
    ),
    cause(
        Tls,
        r"(?i)SSL certificate problem: |certificate[ _]verify[ _]failed|\bx509: |(?:^|: )self[- ]signed certificate|unable to (?:verify the first certificate|get local issuer certificate)|certificate has expired|server certificate verification failed|no alternative certificate subject name|invalid peer certificate",
    ),
    cause(
        Tls,
        r"\bSSLHandshakeException\b|PKIX path building failed|SSL routines:|UNABLE_TO_VERIFY_LEAF_SIGNATURE|DEPTH_ZERO_SELF_SIGNED_CERT|\bCERT_HAS_EXPIRED\b|\bERR_TLS_|^verify error:|remote error: tls: |cannot verify \S+ certificate|^curl: \((?:35|51|58|60|77|83)\)|remote certificate is invalid|The certificate of .+ is not trusted",
    ),
    cause(
        NetworkUnreachable,
        r"(?i)(?:: |\] |=|^|\()(?:network is unreachable|no route to host|host is unreachable)(?:$|[:.,; )>\x22'])|\bconnect E(?:NET|HOST)UNREACH (?P<what>\S+)|Destination (?:Host|Net) Unreachable",
    ),
    cause(
        ConnectionRefused,
        r"\bconnect(?:ion to)? ECONNREFUSED (?P<what>\S+)|\bFailed to connect to (?P<what2>\S+ port \d+).*: Connection refused|\bdial tcp (?P<what3>\S+): connect: connection refused",
    ),
    cause(ConnectionRefused, r"(?i)(?:: |\] |\()connection refused(?:$|[:.,; )>\x22'])"),
    symptom(
        ConnectionLost,
        r"(?i)(?:^|: |\] |\(|^read )connection reset by peer(?:$|[:.,; )\x22'])|\b(?:read|write|code:?) '?ECONNRESET\b|\bConnectionResetError\b|^Connection (?:closed|reset) by (?P<what>\S+) port \d+",
    ),
    cause(
        ConnectionRefused,
        r"^(?:The connection to the server (?P<what>\S+) was refused|Cannot connect to the Docker daemon)|Can't connect to (?:local )?(?:MySQL|server)|\bactively refused it\b|: Connection refused$|\bkind: ConnectionRefused\b",
    ),
    symptom(
        ConnectionRefused,
        r"\bFailed to connect to (?P<what>\S+ port \d+).*(?:Couldn't|Could not) connect to server",
    ),
    // Who may
    cause(
        GitAuth,
        r"^(?:fatal: |remote: |ERROR: )*(?:Authentication failed for '(?P<what>[^']+)|could not read (?:Username|Password) for '(?P<what2>[^']+)|Invalid username or (?:password|token)|Support for password authentication was removed|HTTP Basic: Access denied|Permission to \S+ denied to )",
    ),
    cause(
        GitAuth,
        r"^fatal: unable to access '(?P<what>[^']+)': The requested URL returned error: 40[13]|^git@\S+: Permission denied \(",
    ),
    symptom(GitAuth, r"^fatal: Could not read from remote repository"),
    cause(
        RateLimit,
        r"(?i)(?:^|[\s:(])429:? (?:client error: )?too many requests|\bHTTP(?:/[\d.]+| error| status)?:? 429\b|\bstatus(?: code)?:? 429\b|returned error: 429|\bE429\b|^(?:\S+: )*too many requests\b|\brate_limit_(?:error|exceeded)\b|\brate[ -]limit (?:was )?(?:exceeded|reached|hit)\b|(?:^|: )rate[ -]limited\b|\bThrottlingException\b|: Rate exceeded\b|\bRESOURCE_EXHAUSTED\b|reached your \w+ rate limit|(?:error|status|code)\W{1,3}429\b|^(?:\S*Error: )429\b|\bexceeded (?:your|a|the) (?:secondary )?(?:rate limit|current quota)|\btoomanyrequests\b",
    ),
    cause(
        Authentication,
        r"(?i)^\S+: Permission denied \((?:[a-z-]+,?)+\)|^Permission denied, please try again|^Host key verification failed|password authentication failed for user|^(?:\S+: )*authentication fail(?:ed|ure)\b|\bAccess denied for user '|incorrect password attempt|^Login incorrect|no password supplied|a password is required$",
    ),
    cause(
        Authentication,
        r"^(?:\S+ )?(?:\(error\) )?(?:NOAUTH|WRONGPASS|ERR AUTH)\b|\bENEEDAUTH\b|\bnpm (?:error|ERR!) code E401|\b401 Client Error|\bHTTP Error 401\b|\b401:? \(?Unauthorized|returned error: 401|\bHTTP(?:/[\d.]+)? 401\b|\bauthentication_error\b|Unable to locate credentials|\b[Bb]ad credentials\b|unauthorized: |no basic auth credentials|gh auth login|^(?:\S*Error: )401\b|^curl: \(67\)|security token included in the request is|\(Unauthorized\)$|terminal is required to read the password|(?i:invalid (?:x-)?api[- ]key|incorrect api key)|(?:^|: )(?i:invalid|expired|bad|incorrect) (?i:credentials|access token|token|password)\b",
    ),
    // What is in the way
    cause(
        LockHeld,
        r"Unable to create '(?P<what>[^']+\.lock)': File exists|cannot lock ref '|Could not get lock (?P<what2>[^\s.]\S*[^\s.])|Unable to (?:lock|acquire the dpkg frontend lock)|frontend lock was locked by another process|lock file \x22(?P<what3>[^\x22]+)\x22 already exists",
    ),
    cause(
        LockHeld,
        r"could not lock \S+ ?\S* (?P<what>[^\s:]+): File exists|\blocked by (?:another process|process|PID)\b|[Ll]ock.*: Resource temporarily unavailable|Lock wait timeout exceeded|is already locked\b|\bholding the \w+ lock\b",
    ),
    cause(
        LockHeld,
        r"(?:^|: |, )database (?:table )?is locked|Error acquiring the state lock|(?i:failed to (?:acquire|obtain|get) (?:the )?(?:\S+ )?lock\b)|^(?:\S+: )*(?i:another (?:instance|process) .{0,60}(?:is (?:already )?running|holds the lock))",
    ),
    cause(
        MergeConflict,
        r"^CONFLICT \([a-z/ ]+\): (?:Merge conflict in (?P<what>\S+))?|^Automatic merge failed; fix conflicts|^(?:error|fatal): .*(?:unmerged files|unresolved conflict)|^error: could not apply [0-9a-f]{7,}|^error: you need to resolve your current index first|^\S+: needs merge$",
    ),
    cause(
        VersionMismatch,
        r"\brustc [\d.]+ is not supported by|requires rustc |feature `edition\d+` is required|compiled by an incompatible version of rustc|^error: failed to select a version for ",
    ),
    cause(
        VersionMismatch,
        r"\bEBADENGINE\b|^npm (?:error|ERR!) (?:code )?ERESOLVE\b|The engine \x22\w+\x22 is incompatible|was compiled against a different Node\.js version|requires (?:a different )?Python\b.*(?:not in|but)|\bResolutionImpossible\b|have conflicting dependencies",
    ),
    cause(
        VersionMismatch,
        r"\bUnsupportedClassVersionError\b|version `(?:GLIBC|GLIBCXX|CXXABI)_\S+' not found|^\s*CMake [\d.]+ or higher is required|\b(?:requires|module requires) [Gg]o (?:>= )?[\d.]+|requires [Rr]uby version|release version \d+ not supported|invalid (?:source|target) release: |Your (?:Ruby|PHP) version |Unsupported class file major version|(?i:\brequires? (?:at least )?[\w.+-]+(?: version)? (?:>= ?)?v?\d[\d.]*(?:\+| or (?:newer|later|higher|above|greater)))|(?i:\bunsupported (?:python|node(?:\.js)?|java|ruby|php|go|rust|compiler|terraform core) version)",
    ),
    cause(
        MissingDependency,
        r"no matching package named `(?P<what>[^`]+)` found|Unable to locate package (?P<what2>\S+)|Package '(?P<what3>\S+)', required by|^Package (?P<what4>\S+) was not found in the pkg-config|has no installation candidate",
    ),
    cause(
        MissingDependency,
        r"^npm (?:error|ERR!) 404 .*'(?P<what>@?[^'@]+)@\S*' (?:is not in|could not be found)|Could not find a package configuration file provided by \x22(?P<what2>[^\x22]+)|Could NOT find (?P<what3>\S+) \(missing|By not providing \x22Find(?P<what4>\w+)\.cmake|^npm (?:error|ERR!) (?:code )?E?404\b",
    ),
    cause(
        MissingDependency,
        r"(?:\bld(?:\.\w+)?: |^\S*/ld: )cannot find -l(?P<what>\S+?)(?::|$)|error while loading shared libraries: (?P<what2>\S+): |\bfatal error: '?(?P<what3>[\w./+-]+\.h(?:pp|h)?)'?(?::| file not found)|ImportError: (?P<what4>lib\S+): cannot open shared object",
    ),
    cause(
        MissingDependency,
        r"No matching version found for (?P<what>\S+?)\.?$|No package '(?P<what2>[^']+)' found|^ERROR: Dependency \x22(?P<what3>[^\x22]+)\x22 not found|Dependency \x22(?P<what4>[^\x22]+)\x22 not found|(?P<what5>\S+) \(no such package\)|Could not find artifact (?P<what6>\S+)|^No match for argument: (?P<what7>\S+)",
    ),
    cause(
        MissingDependency,
        r"unrecognized import path \x22(?P<what>[^\x22]+)|Could not resolve dependencies for project|pull access denied for (?P<what2>\S+?),|^configure: error: .*not found|^Could not find gem '(?P<what3>[^' ]+)",
    ),
    symptom(
        MissingDependency,
        r"No matching distribution found for (?P<what>[\w.\[\]-]+)|Could not find a valid gem '(?P<what2>[^']+)'",
    ),
    // What is not there
    cause(MissingFile, r"\bCannot find module '(?P<what>(?:/|\.{1,2}/)[^']*)'"),
    cause(MissingFile, r"does not appear to be a git repository$"),
    missing(
        Python,
        r"\b(?:ModuleNotFoundError|ImportError): No module named '?(?P<what>[\w.]+)|^\S*python[\d.]*: No module named (?P<what2>[\w.]+)|^E?\s*ImportError: cannot import name '(?P<what3>\w+)",
    ),
    missing(
        Node,
        r"\bCannot find (?:module|package) '(?P<what>[^']+)'|Module not found: (?:Error: )?Can't resolve '(?P<what2>[^']+)'|Failed to resolve import \x22(?P<what3>[^\x22]+)\x22",
    ),
    missing(
        Ruby,
        r"cannot load such file -- (?P<what>\S+) \(LoadError\)|cannot load such file -- (?P<what2>\S+)$",
    ),
    missing(Perl, r"\(you may need to install the (?P<what>[\w:]+) module\)"),
    missing(
        Go,
        r"no required module provides package (?P<what>[^\s;]+)|^\S+\.go:\d+:\d+: (?:cannot find (?:module|package) (?:providing package )?\x22?(?P<what2>[^\s\x22;]+)|package (?P<what3>\S+) is not in (?:GOROOT|std))",
    ),
    cause(CompileError, r"^error\[E0432\]: unresolved import `(?:crate|self|super)\b"),
    missing(
        Rust,
        r"^error\[E0432\]: unresolved import `(?P<what>\w+)|can't find crate for `(?P<what2>\w+)`|^error\[E0433\]: (?:.* )?(?:undeclared crate or module|unresolved module or unlinked crate|cannot find module or crate) `(?P<what3>\w+)`",
    ),
    cause(
        MissingModule,
        r"^\S+\.java:\d+: error: package (?P<what>[\w.]+) does not exist|\b(?:NoClassDefFoundError|ClassNotFoundException): (?P<what2>[\w./$]+)|^Error: Could not find or load main class (?P<what3>\S+)|there is no package called",
    ),
    cause(
        CommandNotFound,
        r"(?:^|: )(?P<what>[^\s:]+): command not found$|(?:^|: )command not found: (?P<what2>\S+)$|^\S*sh: (?:\d+: )?(?P<what3>[^\s:]+): not found$|^fish: Unknown command:? '?(?P<what4>[^\s']+)|^\S+: \d+: (?P<what5>[^\s:]+): not found$",
    ),
    cause(
        CommandNotFound,
        r"^(?:make(?:\[\d+\])?|xargs|nice|time|strace|setsid|stdbuf|parallel): (?P<what>[\w.+-]+): No such file or directory$|failed to run command (?:‘|')(?P<what2>[^\s']+?)(?:’|'): No such file|^(?:/usr/bin/)?env: (?:‘|')(?P<what3>[^\s']+?)(?:’|'): No such file|\bspawn (?P<what4>\S+) ENOENT|exec: \x22(?P<what5>[^\x22]+)\x22: executable file not found",
    ),
    cause(
        CommandNotFound,
        r"^Command '(?P<what4>[^']+)' not found|^npm (?:error|ERR!) (?:Missing script: |Unknown command: )\x22(?P<what5>[^\x22]+)|^error: no such (?:sub)?command: `(?P<what>[^`]+)`|^(?:git|docker): '(?P<what2>[^']+)' is not a (?:git|docker) command|^(?:Error: |error: )?unknown command \x22(?P<what3>[^\x22]+)\x22 for \x22|is not recognized as an internal or external command",
    ),
    cause(
        MissingFile,
        r"^(?:fatal: not a git repository\b|\S+: \*\*\* No rule to make target '(?P<what>[^']+)'|\S+: \*\*\* No targets specified and no makefile found|Error: Unable to access jarfile (?P<what2>\S+)|Could not open input file: (?P<what3>\S+)|Can't open perl script \x22(?P<what4>[^\x22]+)|error: could not find `(?P<what5>Cargo\.toml)`|ERROR: file or directory not found: (?P<what6>\S+))|: cannot execute: required file not found$|: bad interpreter: |: can't cd to |The directory '[^']+' does not exist|(?i:(?:^|: )file not found: )",
    ),
    cause(
        PermissionDenied,
        r"(?i)(?:: |\] )(?:EACCES: |EPERM: )?(?:permission denied|operation not permitted)(?:$|[.;)>'\x22]|: [\S]|, \w+| \(os error| @ )",
    ),
    cause(
        PermissionDenied,
        r"^zsh:(?:\d+:)? permission denied: (?P<what>\S+)|\(Permission denied\)$|is not in the sudoers file|(?i:are you root\?|you (?:must|need to) be root|must be run as root|requires? root privileges|requires superuser)|is not executable by this user|exists but is not an executable file|permission denied while trying to connect to the Docker daemon|: permission denied for (?:table|schema|relation|database) |\bAccessDeniedException: |\bAccess is denied\b|\bkind: PermissionDenied\b|\b403 Client Error|\bHTTP Error 403\b|returned error: 403|\b403:? Forbidden\b|is not allowed to execute",
    ),
    cause(
        MissingFile,
        r"\bFileNotFoundError: .*: '(?P<what>[^']+)'|ENOENT: no such file or directory, \w+ '(?P<what2>[^']+)'|: can't open file '(?P<what3>[^']+)'|\bopen (?P<what4>\S+): no such file or directory$|\b(?:FileNotFound|NoSuchFile)Exception: (?P<what5>\S+)",
    ),
    cause(
        MissingFile,
        r": (?:\S+: )*(?:cannot \w+ '?|Cannot )?(?P<what>[^\s:']+)'?: (?:Cannot open: |cannot open: )?No such file or directory(?:$| \(os error 2\))|(?::|\]) (?i:no such file or directory)(?:$|: |\)$| \(os error 2\)| @ | -- )|\bOs \{ code: 2, ",
    ),
    // What is written wrongly
    cause(
        SyntaxError,
        r"^\s*(?:E\s+|Uncaught )?(?:SyntaxError|IndentationError|TabError): |\bJSONDecodeError: |\bJSONParseError: |\bEJSONPARSE\b|^(?:jq: )?parse error: |^Expecting (?:property name enclosed|value|',' delimiter|':' delimiter)|\bunexpected end of JSON input|(?:YAMLException|ParserError|ScannerError): |\(\S*SyntaxError\)$|^(?:error: )?yaml: line \d+: |while parsing a (?:flow|block) |mapping values are not allowed|\bsed: -e expression #\d+, char \d+: |: parser error : |Parsing error: ",
    ),
    cause(
        SyntaxError,
        r": syntax error near unexpected token|: (?:syntax error: )?unexpected (?:end of file|EOF while looking for matching)|^\S*sh: (?:\d+: )?Syntax error: |: \d+: Syntax error: |^\S+:\d+: (?:unmatched |parse error)|\): (?:Missing end to balance|Expected a |Unexpected )|^fish: (?:Missing end|Unexpected|Expected)",
    ),
    cause(
        SyntaxError,
        r"\*\*\* missing separator\b|^awk: .*(?:syntax error|missing|unexpected)|^(?:PHP )?Parse error: |^syntax error at \S+ line \d+|^\S+:\d+: syntax errors?[, ]|near \x22[^\x22]*\x22: syntax error|^(?:psql:\S+ )?ERROR: +syntax error at or near|error in your SQL syntax|\[emerg\] (?:\d+#\d+: )?(?:unexpected |unknown directive |invalid number of arguments)|^\s*--> \S+\.(?:toml|json|ya?ml):\d+:\d+$|TOML parse error",
    ),
    cause(
        CompileError,
        r"^error\[E\d{4}\]: |^\S+:\d+(?::\d+)?: (?:fatal )?error:(?: |$)|^\[error\] \S+:\d+:\d+: |(?:\): | - )error TS\d+: |\berror CS\d{4}: |^(?:vet: )?\S+\.go:\d+:\d+: |\bundefined reference to |\bundefined symbols? |multiple definition of `|\[ERROR\] COMPILATION ERROR|^e: \S+\.kts?:",
    ),
    symptom(
        CompileError,
        r"^error: could not compile `|^error: aborting due to |^compilation terminated\.|returned 1 exit status$|^(?:ERROR in|Failed to compile)|^error: [Cc]ompilation failed",
    ),
    // How it ended
    cause(
        TestFailure,
        r"^test result: FAILED|^test \S+ \.\.\. FAILED$|^error: test failed, to rerun|^FAILED \S+::|^=+ (?:FAILURES|ERRORS) =+$|^=* ?\d+ failed[, ]|^=* ?(?:\d+ \w+, )*\d+ errors? in [\d.]+s|^--- FAIL: |^\s?FAIL(?:\t|:? +\S+)|^\s*Test Files +.*\d+ failed|^error: test run failed|^FAILED \| |^Some tests failed|^Test Suites: +\d+ failed|^\s*Tests: +(?:\d+ \w+, )*\d+ failed|^\s+Tests +\d+ failed",
    ),
    cause(
        TestFailure,
        r"^\s+[1-9]\d* failing$|^(?:ℹ|#) fail [1-9]|^not ok \d+|^FAILED \((?:failures|errors)=|\b\d+ (?:examples?|runs|tests?), .*\b[1-9]\d* (?:failures?|errors)|^Result: FAIL$|^\s*Failed tests?: +\d|\b[1-9]\d* tests failed out of|^The following tests FAILED|Tests run: \d+, Failures: (?:[1-9]|0, Errors: [1-9])|^FAILURES!$|There were failing tests",
    ),
    cause(
        Timeout,
        r"^panic: test timed out after|^curl: \(28\)|(?i)(?:^|: |\] |\()(?:the )?(?:operation|connection|request|read|connect|command|socket)?\s?(?:was aborted due to timeout|timed out)(?:$|[.:,;) \x22'>])|(?i)timeout of \d+ ?ms exceeded|timed out (?:waiting|while)\b|deadline exceeded|\btimeout (?:expired|was reached)\b|Operation too slow|\bkind: TimedOut\b|Maximum execution time of|'? timed out after [\d.]+ ?(?:s|ms|m|seconds|milliseconds|minutes)\b",
    ),
    cause(
        Timeout,
        r"(?:^|[\s.(\[])(?:TimeoutError|TimeoutExpired|Timeout::Error|Net::(?:Read|Open)Timeout|SocketTimeoutException|ReadTimeout|ConnectTimeout|UND_ERR_CONNECT_TIMEOUT)(?:: |\]|\)?$)|\bE(?:SOCKET)?TIMEDOUT\b|: i/o timeout$|handshake timeout$|\b504:? Gateway Time-?out|due to statement timeout|Exceeded timeout of \d+ ?ms",
    ),
    cause(
        Segfault,
        r"(?:^|: |\d |\] )(?i:segmentation fault)(?:$|\s+\(core dumped\)|\s{2,}|\s+\./|\s+\S+$)|\bsignal SIGSEGV\b|\bSIGSEGV[:)]|(?:^|: |\d |\] )Bus error(?:$| \(core|\s{2,})",
    ),
    cause(
        Killed,
        r"^Killed$|(?:: |\d |\] )Killed(?:$|\s{2,}|: 9)|\bsignal(?:: 9,)? SIGKILL\b|\bsignal: (?:killed|9)\b|Killed signal terminated program",
    ),
    symptom(
        Unknown,
        r"^(?:\d{4}[/-]\d\d[/-]\d\d[ T][\d:.,]+\S* )?(?:\[?ERROR\]?|Error|error|fatal|FATAL|panic)\b[: ]|^\S+: (?:fatal )?error: |^[\w.]+(?:Error|Exception)(?::|$)|\(\w+(?:Error|Exception)\)$|^Exception in thread |\bpanicked at |^(?:Uncaught|Unhandled) |^npm (?:error|ERR!) code |^curl: \(\d+\)",
    ),
];

/// Lines in which a program quotes: sources with line numbers, marked lines of listings, what `grep -n`
/// prints, tests that passed, and a warning of sudo's or ssh's that stops nothing.
const QUOTED: &str = concat!(
    r"^\s*>?\s*\d*\s*(?:\||│) |^[<>] |^\+\s*\S+\(|^[\w./-]+:\d+:(?:[^i\s\d]|i[^n])",
    r"|\.\.\. ok$|^\s*(?:✓|✔|√) |^ok \d+|^--- PASS|^PASS\b| PASSED\b|^sudo: unable to resolve host|^no such identity: |^\^?[0-9a-f]{7,40} \("
);

/// A line that only a diff has.
const HUNK: &str = r"^@@ -\d+(?:,\d+)? \+\d+|^\d+(?:,\d+)?[acd]\d+(?:,\d+)?$";

/// Bytes are all that the patterns know: an automaton for Unicode is many times as large.
fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).build()
}

/// The patterns, compiled once.
#[derive(Debug)]
pub(super) struct Rules {
    /// One by one: the automaton of all of them together outgrows its memory on a page of mixed lines, and is
    /// a hundred times as slow then.
    each: Vec<Regex>,
    quoted: Regex,
    hunk: Regex,
}

impl Rules {
    /// `None` never happens: a test compiles them.
    pub(super) fn get() -> Option<&'static Self> {
        static COMPILED: LazyLock<Option<Rules>> = LazyLock::new(|| Rules::compile().ok());
        COMPILED.as_ref()
    }

    fn compile() -> Result<Self, regex::Error> {
        Ok(Self {
            each: RULES.iter().map(|rule| compiled(rule.pattern)).collect::<Result<_, _>>()?,
            quoted: compiled(QUOTED)?,
            hunk: compiled(HUNK)?,
        })
    }

    /// The rule that a line belongs to.
    pub(super) fn first_match(&self, line: &str) -> Option<usize> {
        self.each.iter().position(|rule| rule.is_match(line.as_bytes()))
    }

    /// What a line is about by its rule.
    pub(super) fn subject(&self, rule: usize, line: &str) -> Option<String> {
        let captures = self.each[rule].captures(line.as_bytes())?;
        captures
            .iter()
            .skip(1)
            .flatten()
            .next()
            .map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned())
    }

    pub(super) fn is_quoted(&self, line: &str) -> bool {
        self.quoted.is_match(line.as_bytes())
    }

    pub(super) fn is_hunk(&self, line: &str) -> bool {
        self.hunk.is_match(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compile_and_capture_only_what_they_are_about() {
        Rules::compile().unwrap();
        for rule in RULES {
            let regex = compiled(rule.pattern).unwrap();
            let named = regex.capture_names().flatten().count();
            assert_eq!(regex.captures_len(), named + 1, "{}", rule.pattern);
            assert!(!regex.is_match(b""), "{}", rule.pattern);
        }
    }
}
