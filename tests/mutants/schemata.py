"""Builds every mutant that cargo-mutants lists into one program, each behind a switch.

A mutant at a time costs a build at a time. Here each place chooses at run time: MUTANT=17 switches the
17th on, and without the variable nothing is changed. What the compiler refuses is taken out and counted
as not viable, until the rest compiles.

    cargo mutants --list --json -f 'src/stats.rs' > mutants.json
    python schemata.py mutants.json COPY_OF_THE_PROJECT

Needs tree-sitter and tree-sitter-rust (PyPI). Overwrites sources: never the project's own folder.
COPY/mutants.json has the mutants with their numbers and whether each is viable; kill.py goes on from there.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import tree_sitter_rust
from tree_sitter import Language, Parser

PARSER = Parser(Language(tree_sitter_rust.language()))

SWITCH = '''
/// Whether a mutant is switched on (tests/mutants).
pub fn mutant(number: u32) -> bool {
    use std::io::Write;
    use std::sync::{LazyLock, Mutex};
    static ON: LazyLock<Option<u32>> =
        LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|n| n.parse().ok()));
    static REACHED: LazyLock<Option<Mutex<(std::fs::File, Vec<bool>)>>> = LazyLock::new(|| {
        let file = std::fs::File::options().append(true).open(std::env::var_os("MUTANTS_REACHED")?);
        Some(Mutex::new((file.ok()?, vec![false; 1 << 16])))
    });
    if let Some(reached) = &*REACHED {
        let mut reached = reached.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !std::mem::replace(&mut reached.1[number as usize], true) {
            let _ = reached.0.write_all(format!("{number}\\n").as_bytes());
        }
    }
    *ON == Some(number)
}
'''


def offset(text, place):
    """The byte at a line and a column of characters, both from 1."""
    lines = text.split(b"\n")
    before = sum(len(line) + 1 for line in lines[: place["line"] - 1])
    line = lines[place["line"] - 1].decode()
    return before + len(line[: place["column"] - 1].encode())


def node_at(tree, start, end):
    return tree.root_node.descendant_for_byte_range(start, end)


def edit(text, tree, mutant):
    """(start, end, prefix, suffix) around what the mutant changes; nothing where a `let` is in its way."""
    number, new = mutant["number"], mutant["replacement"].encode()
    start, end = (offset(text, mutant["span"][side]) for side in ("start", "end"))
    on = b"crate::mutant(%d)" % number
    marked = lambda code: b"\n/*%d(*/ %b /*)%d*/\n" % (number, code, number)
    slice_of = lambda node: text[node.start_byte : node.end_byte]

    def choice(node_start, node_end, mutated):
        return node_start, node_end, b"(if %b {%b} else {" % (on, marked(mutated)), b"})"

    match mutant["genre"]:
        case "FnValue":
            return start, end, b"if %b {%b}\n" % (on, marked(b"return " + new + b";")), b""
        case "BinaryOperator":
            whole = node_at(tree, start, end).parent
            if whole.type not in ("binary_expression", "compound_assignment_expr"):
                return None
            left, right = (slice_of(whole.child_by_field_name(side)) for side in ("left", "right"))
            if whole.type == "binary_expression":
                left = b"(%b)" % left
            return choice(whole.start_byte, whole.end_byte, b"%b %b (%b)" % (left, new, right))
        case "UnaryOperator":
            whole = node_at(tree, start, end).parent
            if whole.type != "unary_expression":
                return None
            return choice(whole.start_byte, whole.end_byte, text[end : whole.end_byte])
        case "MatchArmGuard":
            return choice(start, end, new)
        case "MatchArm":
            arm = node_at(tree, start, start + 1)
            while arm.type != "match_arm":
                arm = arm.parent
            pattern = arm.child_by_field_name("pattern")
            guard = pattern.child_by_field_name("condition")
            if guard is None:
                return pattern.end_byte, pattern.end_byte, b" if !%b" % on, b""
            return guard.start_byte, guard.end_byte, b"!%b && (" % on, b")"
        case "StructField":
            field = node_at(tree, start, start + 1)
            while field.type not in ("field_initializer", "shorthand_field_initializer"):
                field = field.parent
            base = next(n for n in field.parent.children if n.type == "base_field_initializer")
            name, value = slice_of(field).split(b":")[0], field.child_by_field_name("value")
            taken = marked(b"(%b).%b" % (slice_of(base.children[1]), name))
            if value is None:
                return field.start_byte, field.end_byte, b"%b: if %b {%b} else {" % (name, on, taken), b"}"
            return value.start_byte, value.end_byte, b"if %b {%b} else {" % (on, taken), b"}"


def mutated(text, mutants):
    """The text with every mutant in it; mutants of another form are no longer viable."""
    tree = PARSER.parse(text)
    before, after = [], []
    for mutant in mutants:
        change = edit(text, tree, mutant)
        if change is None:
            mutant["viable"], mutant["why"] = False, "form"
            continue
        start, end, prefix, suffix = change
        # At one place: what ends there first, the shortest first; then what begins, the longest first.
        before.append(((start, 1, -(end - start), mutant["number"]), prefix))
        after.append(((end, 0, end - start, -mutant["number"]), suffix))
    out, at = [], 0
    for (place, *_), code in sorted(before + after):
        out += [text[at:place], code]
        at = place
    return b"".join(out + [text[at:]])


def numbers_at(text, first, last):
    """The mutants whose own code stands in these lines."""
    ends = [-1] + [at for at, letter in enumerate(text + "\n") if letter == "\n"]
    start, end = ends[first - 1] + 1, ends[min(last, len(ends) - 1)]
    own = re.finditer(r"/\*(\d+)\(\*/.*?/\*\)\1\*/", text, re.S)
    return {int(m[1]) for m in own if m.start() < end and start < m.end()}


def refused(folder, message, arms):
    """The mutants that an error of the compiler names; where it lies in none's own code, the one before it."""
    own, near = set(), set()
    for span in message["spans"] + [s for child in message["children"] for s in child["spans"]]:
        while span.get("expansion"):
            span = span["expansion"]["span"]
        path = folder / span["file_name"]
        if path.exists():
            text = path.read_text()
            own |= numbers_at(text, span["line_start"], span["line_end"])
            head = "\n".join(text.split("\n")[: span["line_end"]])
            near |= {int(n) for n in re.findall(r"crate::mutant\((\d+)\)", head)[-1:]}
    # Where patterns are missing, what other mutants stand in the match is not to blame.
    if code_of(message) == "E0004":
        lost = {n for n in own | near if n in arms}
        return lost or own or near
    return own or near


def code_of(message):
    return (message["code"] or {}).get("code", "syntax")


def build(folder):
    run = subprocess.run(
        ["cargo", "check", "--lib", "--locked", "--message-format=json"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    messages = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    messages = [m["message"] for m in messages if m["reason"] == "compiler-message"]
    return run.returncode == 0, [m for m in messages if m["level"] == "error"]


def main(listed, folder):
    folder = Path(folder).resolve()
    assert not (folder / ".git").exists(), f"{folder}: not a copy"
    mutants = json.loads(Path(listed).read_text())
    originals = {}
    for number, mutant in enumerate(mutants, 1):
        mutant |= {"number": number, "viable": True, "why": ""}
        mutant.pop("diff", None)
        originals.setdefault(mutant["file"], (folder / mutant["file"]).read_bytes())
    root = folder / "src/lib.rs"
    root.write_text("#![allow(warnings)]\n" + root.read_text() + SWITCH)
    for turn in range(40):
        for file, text in originals.items():
            own = [m for m in mutants if m["file"] == file and m["viable"]]
            (folder / file).write_bytes(mutated(text, own))
        good, errors = build(folder)
        arms = {m["number"] for m in mutants if m["genre"] == "MatchArm"}
        gone = {}
        for error in errors:
            for number in refused(folder, error, arms):
                gone.setdefault(number, code_of(error))
        print(f"turn {turn}: {len(errors)} errors, {len(gone)} mutants taken out", flush=True)
        for mutant in mutants:
            if mutant["number"] in gone:
                mutant["viable"], mutant["why"] = False, gone[mutant["number"]]
        (folder / "mutants.json").write_text(json.dumps(mutants, indent=1))
        if good:
            break
        if not gone:
            print("\n".join(e["rendered"] for e in errors[:5]))
            sys.exit("errors of no mutant")
    viable = sum(m["viable"] for m in mutants)
    print(f"{len(mutants)} mutants, {viable} viable")


if __name__ == "__main__":
    main(*sys.argv[1:])
