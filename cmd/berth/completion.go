package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd is "berth completion".
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish. Load it with: source <(berth completion bash)"`
}

// Run prints the script. It holds every command with its words, so that completing
// asks nobody.
func (c *completionCmd) Run(con *console, app *kong.Kong) error {
	all := places(app.Model.Node, nil)
	switch c.Shell {
	case "fish":
		return con.line("%s", fishScript(all))
	case "zsh":
		return con.line("autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n%s", bashScript(all))
	default:
		return con.line("%s", bashScript(all))
	}
}

// place is a command and what may follow it.
type place struct {
	path  string // "device add"; empty for berth itself
	words []word
}

// word is a sub-command or a flag.
type word struct {
	text, help string
}

// places lists every command below node, with what may follow each.
func places(node *kong.Node, path []string) []place {
	p := place{path: strings.Join(path, " ")}
	var below []place
	for _, child := range node.Children {
		if child.Hidden {
			continue
		}
		p.words = append(p.words, word{child.Name, child.Help})
		below = append(below, places(child, append(slices.Clone(path), child.Name))...)
	}
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			p.words = append(p.words, word{"--" + flag.Name, flag.Help})
		}
	}
	return append([]place{p}, below...)
}

// bashScript completes by the longest command that the line begins with, flags and
// their values aside; files where nothing fits.
func bashScript(all []place) string {
	var b strings.Builder
	b.WriteString("_berth() {\n\tlocal path= word next\n\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n\t\tnext=\"${path:+$path }$word\"\n\t\tcase \"$next\" in\n\t\t")
	for i, p := range all[1:] {
		if i > 0 {
			b.WriteString("|")
		}
		b.WriteString("\"" + p.path + "\"")
	}
	b.WriteString(") path=$next ;;\n\t\tesac\n\tdone\n\tcase \"$path\" in\n")
	for _, p := range all {
		fmt.Fprintf(&b, "\t\"%s\") word=\"%s\" ;;\n", p.path, strings.Join(texts(p.words), " "))
	}
	b.WriteString("\tesac\n\tCOMPREPLY=($(compgen -W \"$word\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _berth berth")
	return b.String()
}

func texts(words []word) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.text
	}
	return all
}

// fishScript is one line for each word after each command. Where a command has
// commands below it, its words end where one of those begins.
func fishScript(all []place) string {
	var b strings.Builder
	for _, p := range all {
		at := "__fish_use_subcommand"
		if p.path != "" {
			at = "__fish_seen_subcommand_from " + strings.ReplaceAll(p.path, " ", "; and __fish_seen_subcommand_from ")
			if below := commandsOf(p.words); len(below) > 0 {
				at += "; and not __fish_seen_subcommand_from " + strings.Join(below, " ")
			}
		}
		for _, w := range p.words {
			help := strings.ReplaceAll(strings.ReplaceAll(w.help, `\`, `\\`), `'`, `\'`)
			if name, ok := strings.CutPrefix(w.text, "--"); ok {
				fmt.Fprintf(&b, "complete -c berth -n '%s' -l %s -d '%s'\n", at, name, help)
			} else {
				fmt.Fprintf(&b, "complete -c berth -n '%s' -f -a %s -d '%s'\n", at, w.text, help)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// commandsOf gives the words that are commands.
func commandsOf(words []word) []string {
	var names []string
	for _, w := range words {
		if !strings.HasPrefix(w.text, "--") {
			names = append(names, w.text)
		}
	}
	return names
}
