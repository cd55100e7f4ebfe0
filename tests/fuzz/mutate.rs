//! Mutations of valid files: bits, lengths, numbers, cuts, splices and repetitions.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A mutant is no longer than this many times the longest file of the corpus.
const LONGEST: usize = 4;

/// Numbers at which arithmetic breaks, little and big endian.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Words at which text breaks.
const WORDS: [&str; 24] = [
    "0",
    "-1",
    "1e999",
    "-1e999",
    "1e-999",
    "nan",
    "inf",
    "null",
    "true",
    "\"\"",
    "\"nan\"",
    "[]",
    "{}",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "0.1e1",
    "'",
    "\"",
    "\\u0000",
    "\n",
    "=",
    "[[",
    ",",
];

/// MessagePack markers that claim lengths: str, bin, array and map of 32 bits, and their 8 and 16.
const LENGTHS: [u8; 10] = [0xdb, 0xc6, 0xdd, 0xdf, 0xd9, 0xda, 0xc4, 0xc5, 0xdc, 0xde];

/// One of the corpus with up to eight mutations.
pub fn mutant(corpus: &[Vec<u8>], random: &mut ChaCha8Rng) -> Vec<u8> {
    let most = LONGEST * corpus.iter().map(Vec::len).max().unwrap_or(0);
    let mut bytes = pick(random, corpus).clone();
    for _ in 0..1 << random.random_range(0..4) {
        mutate(&mut bytes, corpus, random);
        bytes.truncate(most);
    }
    bytes
}

fn pick<'a, T>(random: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}

/// A place, up to the end of the bytes.
fn place(random: &mut ChaCha8Rng, bytes: &[u8]) -> usize {
    // One in three near the front, where headers are.
    let far = if random.random_range(0..3) == 0 { bytes.len().min(256) } else { bytes.len() };
    random.random_range(0..=far)
}

/// A stretch of at most `most` bytes.
fn stretch(random: &mut ChaCha8Rng, bytes: &[u8], most: usize) -> std::ops::Range<usize> {
    let from = place(random, bytes);
    from..from + random.random_range(0..=(bytes.len() - from).min(most))
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut ChaCha8Rng) {
    let at = place(random, bytes);
    match random.random_range(0..13) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
        2 if at < bytes.len() => bytes[at] = random.random(),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(stretch(random, bytes, 64))),
        5 => {
            let other = pick(random, corpus);
            let part = stretch(random, other, 1024);
            bytes.splice(at..at, other[part].iter().copied());
        }
        6 => {
            let part = bytes[stretch(random, bytes, 64)].to_vec();
            let times = 1 << random.random_range(0..10);
            bytes.splice(at..at, part.repeat(times));
        }
        7 => {
            let number = *pick(random, &NUMBERS);
            let width = 1 << random.random_range(0..4);
            let mut word = number.to_le_bytes()[..width].to_vec();
            if random.random() {
                word.reverse();
            }
            let end = (at + if random.random() { width } else { 0 }).min(bytes.len());
            bytes.splice(at..end, word);
        }
        8 => {
            let mut claim = vec![*pick(random, &LENGTHS)];
            claim.extend([random.random_range(0..=1) * 0xff; 4]);
            let end = (at + random.random_range(0..=5)).min(bytes.len());
            bytes.splice(at..end, claim);
        }
        9 => {
            let word = *pick(random, &WORDS);
            replace_token(bytes, at, word);
        }
        10 => {
            let word = *pick(random, &WORDS);
            bytes.splice(at..at, word.bytes());
        }
        11 => {
            let deep = *pick(random, &[b'[', b'{', b'(', 0x91, 0x81]);
            let times = 1 << random.random_range(0..14);
            bytes.splice(at..at, std::iter::repeat_n(deep, times));
        }
        _ => swap_lines(bytes, random),
    }
}

/// Puts `word` in the place of the number or word around `at`.
fn replace_token(bytes: &mut Vec<u8>, at: usize, word: &str) {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"._+-".contains(b);
    let from = bytes[..at].iter().rposition(|b| !is_token(b)).map_or(0, |at| at + 1);
    let end = bytes[at..].iter().position(|b| !is_token(b)).map_or(bytes.len(), |n| at + n);
    bytes.splice(from..end, word.bytes());
}

/// Swaps, or repeats, two lines of a text.
fn swap_lines(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    if lines.is_empty() {
        return;
    }
    let [one, other] = [0; 2].map(|_| random.random_range(0..lines.len()));
    if random.random() {
        lines.swap(one, other);
    } else {
        lines.insert(one, lines[other]);
    }
    *bytes = lines.concat();
}
