# shellherd's marks for zsh, the last thing that the last start-up file does. The rules are those of
# bash.sh: no aliases, options local, marks to /dev/tty, no mark in a dump of these functions.

# What the server types sources this file.
__sh=@WRAPPER@

__shellherd_begin() {
    # Before the options are local.
    case ${__shellherd_errexit-} in e) \builtin typeset -g __shellherd_errexit=; \builtin set -e ;; esac
    __shellherd_began "$1"
}

__shellherd_began() {
    { \builtin local __shellherd_code="${__shellherd_status:-0}"; if [[ -o errexit ]]; then __shellherd_code=0; fi; \builtin emulate -L zsh; \builtin unsetopt xtrace verbose } 2>/dev/null
    if [[ -n ${__shellherd_undo-} ]]; then __shellherd_restore; fi
    __shellherd_arm
    # The number first: an interrupt between the two must not lose the end.
    \builtin typeset -g __shellherd_number=$1
    \builtin printf '\033]133;C;k=@NONCE@;n=%s\007' "$1" >|/dev/tty
    \builtin return $__shellherd_code
}

# The previous command's status again, for a command that needed preparation.
__shellherd_recall() {
    { if [[ -o errexit ]]; then \builtin return 0; fi } 2>/dev/null
    \builtin return ${__shellherd_status:-0}
}

__shellherd_fail() { \builtin return 1 }

__shellherd_end() {
    { \builtin local __shellherd_code="$?"; \builtin emulate -L zsh; \builtin unsetopt xtrace verbose } 2>/dev/null
    \builtin typeset -g __shellherd_status=$__shellherd_code
    if [[ -n ${__shellherd_undo-} ]]; then __shellherd_restore; fi
    __shellherd_arm
    \builtin printf '\033]133;D;%s;k=@NONCE@;n=%s\007' "$__shellherd_code" "$1" >|/dev/tty
    \builtin typeset -g __shellherd_number=
    \builtin return $__shellherd_code
}

# As in bash.sh.
__shellherd_spare() { case $- in *e*) \builtin typeset -g __shellherd_errexit=e; \builtin set +e ;; esac }

# Marks the subshell of a confined command, and so what it starts; the shell itself stays as it is.
__shellherd_confine() {
    @CONFINE@ || \builtin true
    case ${__shellherd_errexit-} in e) \builtin typeset -g __shellherd_errexit=; \builtin set -e ;; esac
}

# Undoes what a command's preparation changed.
__shellherd_restore() {
    \builtin local __shellherd_script="$__shellherd_undo"
    \builtin typeset -g __shellherd_undo=
    \builtin eval "$__shellherd_script" 2>/dev/null
}

# Without the user's hooks for a change of directory, and without pushing it on a stack.
__shellherd_cd() {
    \builtin emulate -L zsh
    \builtin cd -q -- "$1"
}

# First of the precmd functions: reports the end of a command that never reached its own end mark.
__shellherd_prompt() {
    { \builtin local __shellherd_code="$?"; \builtin emulate -L zsh; \builtin unsetopt xtrace verbose } 2>/dev/null
    if [[ -n ${__shellherd_number-} ]]; then
        # An interrupted loop leaves the status of whatever it ran last.
        if [[ $__shellherd_code == 0 ]]; then __shellherd_code=130; fi
        \builtin typeset -g __shellherd_status=$__shellherd_code
        if [[ -n ${__shellherd_undo-} ]]; then __shellherd_restore; fi
        \builtin printf '\033]133;D;%s;k=@NONCE@;n=%s;x=1\007' "$__shellherd_code" "$__shellherd_number" >|/dev/tty
        # As in bash.sh.
        { \export -p; \builtin printf '# all %s\n' "$__shellherd_number" } 2>/dev/null >|@EXPORTS@"$((__shellherd_number % 2))"
        \builtin typeset -g __shellherd_number=
    fi
    \builtin return $__shellherd_code
}

# Last of them, after the user's own, which may read the terminal or take their time.
__shellherd_ready() {
    { \builtin local __shellherd_code="$?"; \builtin emulate -L zsh; \builtin unsetopt xtrace verbose } 2>/dev/null
    \builtin printf '\033]133;A;k=@NONCE@\007' >|/dev/tty
    \builtin return $__shellherd_code
}

__shellherd_arm() {
    \builtin typeset -ga precmd_functions
    precmd_functions=(__shellherd_prompt ${precmd_functions:#__shellherd_*} __shellherd_ready)
}

# What the shell had exported whose place this one takes, but for where it stood.
if [[ -r @EXPORTS@ ]]; then
    __shellherd_at=$PWD
    \builtin . @EXPORTS@ 2>/dev/null
    PWD=$__shellherd_at
    \builtin unset __shellherd_at
fi
() {
    \builtin emulate -L zsh
    # Nobody sees the prompt of a session for tasks.
    if [[ @PROFILE@ == tasks ]]; then
        \builtin unfunction precmd preexec periodic zshaddhistory 2>/dev/null
        \builtin unset precmd_functions preexec_functions periodic_functions zshaddhistory_functions
        \builtin unset RPROMPT RPS1
        \builtin typeset -g PS1='%# '
    fi
    __shellherd_arm
}
# What an agent runs stays out of the history file, and our own lines out of the history in memory.
\builtin unset HISTFILE 2>/dev/null
\builtin setopt hist_ignore_space
# Neither the inverse % after output without a newline, nor the codes of bracketed paste.
\builtin unsetopt prompt_sp
\builtin zmodload zsh/zle 2>/dev/null
# Else each subshell that needs it loads it anew.
\builtin zmodload zsh/rlimits 2>/dev/null
\builtin unset zle_bracketed_paste
