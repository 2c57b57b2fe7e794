# shellherd's marks for bash, loaded after the user's own start-up files.
#
# Rules kept here: names are quoted (\builtin) so that aliases do not apply, and so is what they are
# given, because a quoted `local` splits words, by the user's IFS; options are local, so
# that set -e, -u, -x and -v of the user neither break this code nor are changed by it; marks go to
# /dev/tty, because stdout belongs to the command; a mark's ESC is spelt out by printf, so that a
# dump of these functions is no mark.

BASH_EXECUTION_STRING=shellherd # ble.sh, a line editor that replaces readline, stays out of such shells
case @PROFILE@ in
    user | tasks)
        # bash has read the system-wide bashrc by itself, if it was built to.
        if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
        ;;
    login)
        if [ -r /etc/profile ]; then . /etc/profile; fi
        for __shellherd_file in ~/.bash_profile ~/.bash_login ~/.profile; do
            if [ -r "$__shellherd_file" ]; then
                . "$__shellherd_file"
                break
            fi
        done
        ;;
esac
\builtin unset -v BASH_EXECUTION_STRING __shellherd_file

# What the server types sources this file.
__sh=@WRAPPER@

__shellherd_begin() {
    case ${__shellherd_errexit-} in e) __shellherd_errexit=; \builtin set -e ;; esac
    # Under set -e a status other than 0 would end the shell before the command began.
    case $- in *e*) __shellherd_status=0 ;; esac
    case $- in *[euvx]*) \builtin local - && \builtin set +euvx ;; esac
    if [[ -n ${__shellherd_undo-} ]]; then __shellherd_restore; fi
    case ${PROMPT_COMMAND[*]-} in __shellherd_both | *__shellherd_prompt*__shellherd_ready*) ;; *) __shellherd_arm ;; esac
    # The number first: an interrupt between the two must not lose the end.
    __shellherd_number=$1
    \builtin printf '\033]133;C;k=@NONCE@;n=%s\007' "$1" >|/dev/tty
    \builtin return "${__shellherd_status:-0}"
}

# The previous command's status again, for a command that needed preparation.
__shellherd_recall() { \builtin return "${__shellherd_status:-0}"; }

__shellherd_fail() { \builtin return 1; }

__shellherd_end() {
    __shellherd_status=$?
    case $- in *[euvx]*) \builtin local - && \builtin set +euvx ;; esac
    if [[ -n ${__shellherd_undo-} ]]; then __shellherd_restore; fi
    case ${PROMPT_COMMAND[*]-} in __shellherd_both | *__shellherd_prompt*__shellherd_ready*) ;; *) __shellherd_arm ;; esac
    \builtin printf '\033]133;D;%s;k=@NONCE@;n=%s\007' "$__shellherd_status" "$1" >|/dev/tty
    __shellherd_number=
    \builtin return "$__shellherd_status"
}

# Under set -e the failure of a confined command would end the shell. So until the next command begins the
# option holds in the subshell alone: where a status is looked at it holds in no command of a subshell.
__shellherd_spare() { case $- in *e*) __shellherd_errexit=e; \builtin set +e ;; esac; }

# Marks the subshell of a confined command, and so what it starts; the shell itself stays as it is.
__shellherd_confine() {
    @CONFINE@ || \builtin true
    case ${__shellherd_errexit-} in e) __shellherd_errexit=; \builtin set -e ;; esac
}

# Undoes what a command's preparation changed.
__shellherd_restore() {
    \builtin local __shellherd_script="$__shellherd_undo"
    __shellherd_undo=
    \builtin eval "$__shellherd_script" 2>/dev/null
}

# First in PROMPT_COMMAND: reports the end of a command that never reached its own end mark.
__shellherd_prompt() {
    { \builtin local - __shellherd_code="$?"; \builtin set +euvx; } 2>&-
    if [[ -n ${__shellherd_number-} ]]; then __shellherd_abort; fi
    \builtin return "$__shellherd_code"
}

__shellherd_abort() {
    __shellherd_status=$__shellherd_code
    if [[ -n ${__shellherd_undo-} ]]; then __shellherd_restore; fi
    \builtin printf '\033]133;D;%s;k=@NONCE@;n=%s;x=1\007' "$__shellherd_code" "$__shellherd_number" >|/dev/tty
    # What is exported is kept as behind any other command: see exports.rs.
    { \export -p; \builtin printf '# all %s\n' "$__shellherd_number"; } 2>/dev/null >|@EXPORTS@"$((__shellherd_number % 2))"
    __shellherd_number=
}

# Last in PROMPT_COMMAND, after the user's own, which may read the terminal or take their time.
__shellherd_ready() {
    { \builtin local - __shellherd_code="$?"; \builtin set +euvx; } 2>&-
    \builtin printf '\033]133;A;k=@NONCE@\007' >|/dev/tty
    \builtin return "$__shellherd_code"
}

# In place of the two where the user has none between them.
__shellherd_both() {
    { \builtin local - __shellherd_code="$?"; \builtin set +euvx; } 2>&-
    if [[ -n ${__shellherd_number-} ]]; then __shellherd_abort; fi
    \builtin printf '\033]133;A;k=@NONCE@\007' >|/dev/tty
    \builtin return "$__shellherd_code"
}

# Puts the hooks (back) in their places around whatever else stands there.
__shellherd_arm() {
    \builtin local __shellherd_item __shellherd_list __shellherd_line=$'\n'
    __shellherd_list=()
    for __shellherd_item in "${PROMPT_COMMAND[@]}"; do
        __shellherd_item=${__shellherd_item//"__shellherd_prompt$__shellherd_line"/}
        __shellherd_item=${__shellherd_item//"${__shellherd_line}__shellherd_ready"/}
        case $__shellherd_item in
            '' | __shellherd_prompt | __shellherd_ready | __shellherd_both) ;;
            # The user put something beside it.
            *) __shellherd_list+=("${__shellherd_item//__shellherd_both/__shellherd_prompt}") ;;
        esac
    done
    if ((${#__shellherd_list[@]} == 0)); then
        \builtin unset -v PROMPT_COMMAND
        PROMPT_COMMAND=__shellherd_both
    elif ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)); then
        PROMPT_COMMAND=(__shellherd_prompt "${__shellherd_list[@]}" __shellherd_ready)
    else
        PROMPT_COMMAND=__shellherd_prompt$__shellherd_line${__shellherd_list[0]-}${__shellherd_line}__shellherd_ready
    fi
    \builtin export -n PROMPT_COMMAND
}

# What the shell had exported whose place this one takes, but for where it stood.
if [[ -r @EXPORTS@ ]]; then
    __shellherd_at=$PWD
    . @EXPORTS@ 2>/dev/null
    PWD=$__shellherd_at
    \builtin unset -v OLDPWD __shellherd_at
fi
# Nobody sees the prompt of a session for tasks. bash-preexec and its like come in by these ways.
if [[ @PROFILE@ == tasks ]]; then
    \builtin trap - DEBUG
    \builtin unset -v PROMPT_COMMAND PS0 2>/dev/null
    PS1='\$ '
fi
# Without start-up files it was the variable that loaded this file.
if [[ @PROFILE@ == clean ]]; then \builtin unset -v PROMPT_COMMAND; fi
__shellherd_arm
# What an agent runs stays out of the history file, and our own lines out of the history in memory.
\builtin unset -v HISTFILE 2>/dev/null
case ":${HISTCONTROL-}:" in
    *:ignorespace:* | *:ignoreboth:*) ;;
    *) \builtin declare HISTCONTROL="ignorespace${HISTCONTROL:+:$HISTCONTROL}" 2>/dev/null ;;
esac
\builtin bind 'set enable-bracketed-paste off' 2>/dev/null
if [[ @PROFILE@ == clean ]]; then __shellherd_ready; fi
