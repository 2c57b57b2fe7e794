# shellherd's marks for dash and other shells that read $ENV: the end of an aborted command and the
# prompt are reported by PS1, the only hook there is. It cannot run code, so it repeats its end mark
# until the next command (the first one counts), and what an aborted command's preparation changed
# is restored when the next command begins.

unset ENV
case @PROFILE@ in
    login)
        if [ -r /etc/profile ]; then . /etc/profile; fi
        if [ -r ~/.profile ]; then . ~/.profile; fi
        ;;
esac
case @PROFILE@ in
    clean) ;;
    *)
        if [ -z "${ENV-}" ]; then ENV=@ENV@; fi
        if [ -n "$ENV" ]; then
            export ENV
            eval "__shellherd_file=\"$ENV\""
            if [ -r "$__shellherd_file" ]; then . "$__shellherd_file"; fi
            unset __shellherd_file
        else
            unset ENV
        fi
        ;;
esac

# What the server types sources this file.
__sh=@WRAPPER@

__shellherd_begin() {
    # After an abort the status is still that of the aborted command.
    __shellherd_code=$?
    case ${__shellherd_errexit-} in e) __shellherd_errexit=; \command set -e ;; esac
    if [ -n "${__shellherd_number-}" ]; then __shellherd_status=$__shellherd_code; fi
    if [ -n "${__shellherd_undo-}" ]; then __shellherd_restore; fi
    __shellherd_arm
    # The number first: an interrupt between the two must not lose the end.
    __shellherd_number=$1
    \command printf '\033]133;C;k=@NONCE@;n=%s\007' "$1" >|/dev/tty
    __shellherd_recall
}

# The previous command's status again; under set -e it would end the shell before the command began.
__shellherd_recall() {
    case $- in *e*) return 0 ;; esac
    return "${__shellherd_status:-0}"
}

__shellherd_fail() { return 1; }

__shellherd_end() {
    __shellherd_status=$?
    if [ -n "${__shellherd_undo-}" ]; then __shellherd_restore; fi
    __shellherd_arm
    \command printf '\033]133;D;%s;k=@NONCE@;n=%s\007' "$__shellherd_status" "$1" >|/dev/tty
    __shellherd_number=
    return "$__shellherd_status"
}

# As in bash.sh.
__shellherd_spare() { case $- in *e*) __shellherd_errexit=e; \command set +e ;; esac; }

# Begins the subshell of a confined command.
__shellherd_confine() { case ${__shellherd_errexit-} in e) __shellherd_errexit=; \command set -e ;; esac; }

# Undoes what a command's preparation changed.
__shellherd_restore() {
    __shellherd_script=$__shellherd_undo
    __shellherd_undo=
    eval "$__shellherd_script" 2>/dev/null
}

# ESC and BEL stand in variables of their own, so that a dump of PS1 is no mark.
__shellherd_arm() {
    case ${PS1-} in *__shellherd_number*) return ;; esac
    PS1='${__shellherd_number:+${__shellherd_esc}]133;D;$?;k=@NONCE@;n=$__shellherd_number;x=1${__shellherd_bel}}'"${PS1-\$ }"'${__shellherd_esc}]133;A;k=@NONCE@${__shellherd_bel}'
}

# What the shell had exported whose place this one takes, but for where it stood.
if [ -r @EXPORTS@ ]; then
    __shellherd_at=$PWD
    . @EXPORTS@ 2>/dev/null
    PWD=$__shellherd_at
    unset OLDPWD __shellherd_at
fi
case @PROFILE@ in tasks) PS1='$ ' ;; esac
__shellherd_esc='@ESC@'
__shellherd_bel='@BEL@'
__shellherd_number=
__shellherd_arm
unset HISTFILE
