"""`provreg completion`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

EXAMPLES = (
    "provreg completion bash",
    "provreg completion zsh",
    "provreg completion fish",
)

_BASH = """\
# Completion of provreg for Bash. Load it with: source <(provreg completion bash)
_provreg() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) compopt -o default ;;
            :nospace) compopt -o nospace ;;
            *) COMPREPLY+=("${line%%$'\\t'*}") ;;
        esac
    done < <(_PROVREG_COMPLETE=bash COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
}
complete -F _provreg provreg
"""
_ZSH = """\
#compdef provreg
# Completion of provreg for Zsh: a file _provreg in a folder of $fpath.
_provreg() {
    local line files
    local -a found suffix
    while IFS= read -r line; do
        case $line in
            :files) files=1 ;;
            :nospace) suffix=(-S '') ;;
            *$'\\t'*) found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}") ;;
            *) found+=("${line//:/\\\\:}") ;;
        esac
    done < <(_PROVREG_COMPLETE=zsh "${words[1]}" "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    (( $#found )) && _describe -V provreg found "${suffix[@]}"
    if [[ -n $files ]]; then
        compset -P '*[:=]'
        _files
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _provreg "$@"
else
    compdef _provreg provreg
fi
"""
_FISH = """\
# Completion of provreg for fish: a file provreg.fish in ~/.config/fish/completions.
function __provreg_candidates
    set -l words (commandline -opc) (commandline -ct)
    for line in (env _PROVREG_COMPLETE=fish $words[1] $words[2..] 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :nospace
            case '*'
                echo $line
        end
    end
end
complete -c provreg -f -a '(__provreg_candidates)'
"""


class Shell(StrEnum):
    """The values of SHELL."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_SCRIPTS = {Shell.BASH: _BASH, Shell.ZSH: _ZSH, Shell.FISH: _FISH}


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="Your shell.")],
) -> None:
    """Print a script for completion by your shell.

    The shell loads it when it starts (docs/reference/cli.md, "Completion"). Then the tab key
    completes commands, options, files, and the names and versions of datasets in the registry.
    """
    print(_SCRIPTS[shell], end="")
