#!/usr/bin/env python3
"""Mine sequences of statements worth a tile of their own: mine.py OUT PAIRS SEQUENCES LISTING...

A listing is what a profiling build writes (`jitless::profile`): a line for each tile with a mark, a count and a pattern,
whose statements are separated by ` ; `. The miner simulates the translator, which fuses a statement with what stands
before it whenever such a sequence is on the list, and lets the list grow by what saves most dispatches. Every program
weighs the same.
"""
import collections
import sys

# Control does not go on to the next statement: these end a sequence.
ENDS = set(
    'Call CallIndirect CallImport TailCall TailCallImport TailCallIndirect Slow Host Br Ret RetValueI32 RetValueI64 '
    'RetValueF32 RetValueF64 BrTable Halt Unreachable'.split()
)
# The run loop's, or of varying length: in no sequence.
ALONE = set('Halt Across Copy Count Slow Zero Fuel Unreachable'.split())
# What a tile can hold.
MOST_STATEMENTS, MOST_SYMBOLS = 6, 26
# The pairs of the likeliest statements are looked at, so many of them.
LIKELY = 500
# Less of a program's dispatches than this is not worth a tile.
LEAST = 1e-5


def head(statement):
    return statement.split(' ', 1)[0]


def symbols(statements):
    return sum(len(statement.split()) for statement in statements)


def straight_runs(path):
    """Statements between labels, each with its share of the program's statements."""
    runs, run, total = [], [], 0
    with open(path) as lines:
        for line in lines:
            mark, count, pattern = line.rstrip().split(' ', 2)
            statements = pattern.split(' ; ')
            if mark == '#' and run:
                runs.append(run)
                run = []
            run += [(statement, int(count)) for statement in statements]
            total += int(count) * len(statements)
    runs.append(run)
    return [[(s, n / total) for s, n in run] for run in runs if any(n for _, n in run)]


def may_fuse(sequence, statement):
    return (
        head(sequence[-1]) not in ENDS
        and head(statement) not in ALONE
        and head(sequence[0]) not in ALONE
        and len(sequence) < MOST_STATEMENTS
        and symbols(sequence) + symbols([statement]) <= MOST_SYMBOLS
    )


def simulate(runs, pairs):
    """What the translator does with these pairs: the gain of each pair it has not got, and the dispatches."""
    gains, dispatches = collections.Counter(), 0
    for run in runs:
        sequence = None
        for statement, share in run:
            if sequence and (sequence, statement) in pairs:
                sequence += (statement,)
                continue
            if sequence and may_fuse(sequence, statement):
                gains[sequence, statement] += share
            dispatches += share
            sequence = (statement,)
    return gains, dispatches


def likely_pairs(runs, count):
    """The pairs that would be most frequent if statements were independent: these generalise to other programs."""
    shares = collections.Counter()
    for run in runs:
        for statement, share in run:
            shares[statement] += share
    rights = [s for s, _ in shares.most_common() if head(s) not in ALONE]
    lefts = [s for s in rights if head(s) not in ENDS]
    products = ((shares[a] * shares[b], a, b) for a in lefts[:LIKELY] for b in rights[:LIKELY])
    return [(a, b) for _, a, b in sorted(products, reverse=True)[:count]]


def mine(runs, pair_count, sequence_count):
    sequences = likely_pairs(runs, pair_count)
    pairs = {((a,), b) for a, b in sequences}
    wanted = len(sequences) + sequence_count
    while len(sequences) < wanted:
        gains, dispatches = simulate(runs, pairs)
        print(f'{len(pairs)} pairs, {dispatches:.3f} dispatches', file=sys.stderr)
        best = [pair for pair, gain in gains.most_common(max(20, sequence_count // 25)) if gain >= LEAST]
        if not best:
            break
        pairs.update(best)
        sequences += [sequence + (statement,) for sequence, statement in best]
    return sequences


def main():
    out, pair_count, sequence_count, *listings = sys.argv[1:]
    runs = [run for path in listings for run in straight_runs(path)]
    sequences = mine(runs, int(pair_count), int(sequence_count))
    with open(out, 'w') as file:
        file.write('# Statement sequences, mined from profiles: see CONTRIBUTING.md, "Regenerate the tile list".\n')
        file.writelines(' ; '.join(sequence) + '\n' for sequence in sequences)


main()
