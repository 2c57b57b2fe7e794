# shellherd's marks for fish, sourced after the user's configuration. Marks go to /dev/tty, because
# stdout belongs to the command; their ESC is spelt out by printf, so that a dump is no mark.

set -g __shellherd_number ''
set -g __shellherd_status 0
set -g __shellherd_undo ''
status job-control full
# There are no subshells: a child of the same program stands in for one.
set -g __shellherd_fish (status fish-path)

# What the server types sources this file.
set -g __sh @WRAPPER@

function __shellherd_begin
    if test -n "$__shellherd_undo"
        __shellherd_restore
    end
    # The number first: an interrupt between the two must not lose the end.
    set -g __shellherd_number $argv[1]
    builtin printf '\033]133;C;k=@NONCE@;n=%s\007' $argv[1] >/dev/tty
    return $__shellherd_status
end

# The previous command's status again, for a command that needed preparation.
function __shellherd_recall
    return $__shellherd_status
end

function __shellherd_fail
    return 1
end

function __shellherd_end
    set -g __shellherd_status $status
    if test -n "$__shellherd_undo"
        __shellherd_restore
    end
    builtin printf '\033]133;D;%s;k=@NONCE@;n=%s\007' $__shellherd_status $argv[1] >/dev/tty
    set -g __shellherd_number ''
    return $__shellherd_status
end

function __shellherd_restore
    set -l script $__shellherd_undo
    set -g __shellherd_undo ''
    builtin eval $script 2>/dev/null
end

# What is exported, for the shell that takes this one's place.
function __shellherd_keep
    for name in (set -nx)
        # Where a shell stands, and what is read-only.
        contains -- $name PWD SHLVL _; or echo set -gx $name (string escape -- $$name)
    end
    echo '# all' $argv[1]
end
if test -r @EXPORTS@
    source @EXPORTS@ 2>/dev/null
end

# Nobody sees the prompt of a session for tasks: what the user's configuration does there is dropped.
if test @PROFILE@ = tasks
    set -l events 'fish_(?:prompt|preexec|postexec|posterror|cancel)'
    # Those of fish itself set up its line editor, which there is no fish without.
    for name in (functions --handlers-type generic | string match -rg "^$events (.*)")
        string match -q '__fish_*' -- $name; or functions --erase $name
    end
    functions --erase fish_right_prompt fish_mode_prompt
end

function __shellherd_prompt --on-event fish_prompt
    set -l code $status
    if test -n "$__shellherd_number"
        # A cancelled command leaves the status of whatever came before it.
        test $code -eq 0; and set code 130
        set -g __shellherd_status $code
        if test -n "$__shellherd_undo"
            __shellherd_restore
        end
        builtin printf '\033]133;D;%s;k=@NONCE@;n=%s;x=1\007' $code $__shellherd_number >/dev/tty
        # As in bash.sh.
        __shellherd_keep $__shellherd_number 2>/dev/null >@EXPORTS@(math $__shellherd_number % 2)
        set -g __shellherd_number ''
    end
    builtin printf '\033]133;A;k=@NONCE@\007' >/dev/tty
end

# A line that was dropped is followed by a prompt, too, but not by its event.
function __shellherd_cancelled --on-event fish_cancel
    builtin printf '\033]133;A;k=@NONCE@\007' >/dev/tty
end

# In a sourced file fish's own `exit` ends only that file. A command that says so ends the shell.
function exit
    set -l code $status
    if set -q argv[1]
        set code $argv[1]
    end
    if test -n "$__shellherd_number"; and string match -qr '^\d+$' -- $code
        exec /bin/sh -c "exit $code"
    end
    builtin exit $argv
end

# What an agent runs stays out of the history file.
set -g fish_history ''
if contains @PROFILE@ clean tasks
    function fish_prompt
        builtin printf '> '
    end
    function fish_title
    end
    set -g fish_greeting
    set -g fish_autosuggestion_enabled 0
end
