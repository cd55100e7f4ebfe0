//! Archives as `torch.save` writes them, made here by hand: the pickle's operations stand beside what
//! Python's `pickletools.dis` calls them.

use super::*;
use std::io::Write;
use zip::write::{SimpleFileOptions, ZipWriter};

const NUMBERS: [f32; 4] = [1.0, -2.0, 3.0, -4.0];

/// An archive of these entries under `x/`, stored.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(format!("x/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn saved(pickled: &[u8]) -> Vec<u8> {
    let storage: Vec<u8> = NUMBERS.iter().flat_map(|v| v.to_le_bytes()).collect();
    archive(&[("data.pkl", pickled), ("byteorder", b"little"), ("data/0", &storage)])
}

/// BINUNICODE
fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// GLOBAL
fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// MARK … TUPLE
fn tuple(elements: &[Vec<u8>]) -> Vec<u8> {
    [b"(".to_vec(), elements.concat(), b"t".to_vec()].concat()
}

/// EMPTY_DICT MARK … SETITEMS
fn dict(items: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|(k, v)| [k.clone(), v.clone()].concat()).collect();
    [b"}(".to_vec(), items, b"u".to_vec()].concat()
}

/// `callable`, `arguments`, REDUCE
fn call(callable: Vec<u8>, arguments: &[Vec<u8>]) -> Vec<u8> {
    [callable, tuple(arguments), b"R".to_vec()].concat()
}

const NONE: &[u8] = b"N";
const TRUE: &[u8] = b"\x88";
const FALSE: &[u8] = b"\x89";

fn no_hooks() -> Vec<u8> {
    call(global("collections", "OrderedDict"), &[])
}

/// ('storage', torch.FloatStorage, '0', 'cpu', elements), BINPERSID
fn storage(class: &str, elements: u8) -> Vec<u8> {
    let kind = global("torch", class);
    let id = tuple(&[text("storage"), kind, text("0"), text("cpu"), vec![b'K', elements]]);
    [id, b"Q".to_vec()].concat()
}

/// The arguments of a tensor [4], and these after its stride.
fn arguments(rest: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (shape, stride) = (tuple(&[b"K\x04".to_vec()]), tuple(&[b"K\x01".to_vec()]));
    let first = [storage("FloatStorage", 4), b"K\x00".to_vec(), shape, stride];
    first.into_iter().chain(rest.iter().cloned()).collect()
}

fn tensor_with(rest: &[Vec<u8>]) -> Vec<u8> {
    call(global("torch._utils", "_rebuild_tensor_v2"), &arguments(rest))
}

fn plain_tensor() -> Vec<u8> {
    tensor_with(&[FALSE.to_vec(), no_hooks()])
}

/// PROTO 2 … STOP
fn pickled(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

/// A state dict with this one value, as it is read.
fn read(value: Vec<u8>) -> Result<Vec<f32>> {
    let bytes = saved(&pickled(&dict(&[(text("w"), value)])));
    let found = tensors(&bytes)?.tensors;
    found.get("w").context("no tensor")?.values()
}

fn refusal(value: Vec<u8>) -> String {
    format!("{:#}", read(value).expect_err("refused"))
}

#[test]
fn a_tensor_is_read_alone_and_as_a_parameter_with_attributes() {
    let attributes = dict(&[(text("note"), text("mine"))]);
    let parameter = global("torch._utils", "_rebuild_parameter");
    let with_state = global("torch._utils", "_rebuild_parameter_with_state");
    let typed = global("torch._tensor", "_rebuild_from_type_v2");
    let rebuild = global("torch._utils", "_rebuild_tensor_v2");
    let given = tuple(&arguments(&[FALSE.to_vec(), no_hooks()]));
    for value in [
        plain_tensor(),
        call(global("torch._utils", "_rebuild_tensor"), &arguments(&[])),
        tensor_with(&[TRUE.to_vec(), no_hooks(), NONE.to_vec()]),
        tensor_with(&[FALSE.to_vec(), no_hooks(), dict(&[])]),
        tensor_with(&[FALSE.to_vec(), no_hooks(), dict(&[(text("neg"), FALSE.to_vec())])]),
        call(parameter, &[plain_tensor(), TRUE.to_vec(), no_hooks()]),
        call(with_state, &[plain_tensor(), TRUE.to_vec(), no_hooks(), attributes.clone()]),
        call(typed, &[rebuild, global("torch", "Tensor"), given, attributes]),
    ] {
        assert_eq!(read(value).unwrap(), NUMBERS);
    }
}

/// `torch.save({"w": torch._neg_view(x)})` keeps x and sets the bit.
#[test]
fn what_follows_the_stride_is_honoured_or_refused() {
    let bit = |name: &str| dict(&[(text(name), TRUE.to_vec())]);
    let with = |metadata: Vec<u8>| tensor_with(&[FALSE.to_vec(), no_hooks(), metadata]);
    let hooks = call(global("collections", "OrderedDict"), &[]);
    let hooks = [hooks, b"K\x00".to_vec(), text("hook"), b"s".to_vec()].concat();
    for (value, word) in [
        (with(bit("neg")), "the tensor w: has its negative bit set"),
        (with(bit("conj")), "the tensor w: has its conjugate bit set"),
        (with(bit("grain")), "metadata of an unknown kind, grain"),
        (with(dict(&[(text("neg"), NONE.to_vec())])), "metadata of an unknown kind, neg"),
        (with(text("neg")), "not described as torch.save does"),
        (tensor_with(&[FALSE.to_vec(), hooks.clone()]), "has backward hooks"),
        (tensor_with(&[NONE.to_vec(), no_hooks()]), "not described as torch.save does"),
        (tensor_with(&[FALSE.to_vec()]), "not described as torch.save does"),
        (
            tensor_with(&[FALSE.to_vec(), no_hooks(), NONE.to_vec(), NONE.to_vec()]),
            "not described as torch.save does",
        ),
        (
            call(
                global("torch._utils", "_rebuild_parameter"),
                &[plain_tensor(), TRUE.to_vec(), hooks],
            ),
            "has backward hooks",
        ),
        (
            call(
                global("torch._utils", "_rebuild_parameter_with_state"),
                &[
                    plain_tensor(),
                    TRUE.to_vec(),
                    no_hooks(),
                    tuple(&[dict(&[]), dict(&[(text("data"), plain_tensor())])]),
                ],
            ),
            "a state that is not understood",
        ),
    ] {
        let error = refusal(value);
        assert!(error.contains(word), "no `{word}` in: {error}");
    }
}

#[test]
fn a_tensor_that_is_changed_after_it_was_made_or_of_another_kind_is_refused() {
    let changed = [plain_tensor(), dict(&[(text("a"), NONE.to_vec())]), b"b".to_vec()].concat();
    assert!(refusal(changed).contains("is changed after it was made"));
    let set = [plain_tensor(), b"K\x00K\x01s".to_vec()].concat();
    assert!(refusal(set).contains("is changed after it was made"));
    let given = tuple(&arguments(&[FALSE.to_vec(), no_hooks()]));
    let subclass = call(
        global("torch._tensor", "_rebuild_from_type_v2"),
        &[global("torch._utils", "_rebuild_tensor_v2"), global("mine", "Halved"), given, dict(&[])],
    );
    assert_eq!(refusal(subclass), "is mine.Halved, expected floating-point numbers");
    let quantised = call(global("torch._utils", "_rebuild_qtensor"), &arguments(&[]));
    let error = refusal(quantised);
    assert_eq!(error, "is torch._utils._rebuild_qtensor, expected floating-point numbers");
}

#[test]
fn a_storage_is_as_long_as_it_says() {
    let of = |class: &str, elements| {
        let mut given = arguments(&[FALSE.to_vec(), no_hooks()]);
        given[0] = storage(class, elements);
        call(global("torch._utils", "_rebuild_tensor_v2"), &given)
    };
    assert!(read(of("FloatStorage", 4)).is_ok());
    for (class, elements) in [("FloatStorage", 3), ("FloatStorage", 5), ("HalfStorage", 4)] {
        assert!(refusal(of(class, elements)).contains("has a storage of 16 bytes"), "{class}");
    }
}

#[test]
fn two_tensors_of_one_name_are_refused_however_they_come_to_it() {
    let nested = dict(&[(text("b"), plain_tensor())]);
    let zero = b"K\x00".to_vec();
    for items in [
        vec![(text("a"), nested), (text("a.b"), plain_tensor())],
        vec![(text("a"), plain_tensor()), (text("a"), plain_tensor())],
        vec![(zero, plain_tensor()), (text("0"), plain_tensor())],
    ] {
        let bytes = saved(&pickled(&dict(&items)));
        let error = format!("{:#}", tensors(&bytes).expect_err("refused"));
        assert!(error.contains("two of its tensors have the name"), "{error}");
    }
}

#[test]
fn an_archive_that_can_be_read_in_two_ways_or_is_newer_is_refused() {
    let pickle = pickled(&dict(&[]));
    let error = |entries: &[(&str, &[u8])]| {
        let bytes = archive(entries);
        tensors(&bytes).map(drop).map_err(|e| format!("{e:#}")).expect_err("refused")
    };
    assert!(tensors(&archive(&[("data.pkl", &pickle), ("version", b"3\n")])).is_ok());
    let two = error(&[("data.pkl", &pickle), ("y/data.pkl", &pickle)]);
    assert!(two.contains("more than one data.pkl"), "{two}");
    for version in [&b"11\n"[..], b"-1", b"new\x1b"] {
        let newer = error(&[("data.pkl", &pickle), ("version", version)]);
        assert!(newer.contains("at most 10 is read") && !newer.contains('\u{1b}'), "{newer}");
    }
    let big = error(&[("data.pkl", &pickle), ("byteorder", b"big")]);
    assert!(big.contains("not little endian"), "{big}");
    // The zip crate writes no name twice: the second is renamed in the bytes.
    let mut bytes = archive(&[("data.pkl", &pickle), ("data/0", b"0"), ("data/1", b"1")]);
    for at in 0..bytes.len() - 8 {
        if bytes[at..].starts_with(b"x/data/1") {
            bytes[at + 7] = b'0';
        }
    }
    let twice = format!("{:#}", tensors(&bytes).expect_err("refused"));
    assert!(twice.contains("two of its entries have the same name"), "{twice}");
}

/// tests/import/kinds.py, with the numbers that it prints.
#[test]
fn dicts_of_any_kind_short_floats_quantised_tensors_and_arrays_of_numpy_are_read() {
    let bytes = include_bytes!("../../../tests/import/golden/kinds.pt");
    let StateDict { tensors, objects } = super::tensors(bytes).unwrap();
    let whole = [0.0, 0.25, -0.5, 1.5, -2.25, 448.0];
    for (name, values) in [
        ("of_a_kind.w", whole),
        ("default.w", whole),
        ("e4m3", whole),
        ("e5m2", [0.0, 0.25, -0.5, 1.5, -2.0, 448.0]),
        ("qint8", [0.0, 0.25, -0.5, 1.5, -2.25, 31.0]),
        ("quint8", [0.0, 0.25, -0.5, 1.5, -0.75, 63.0]),
        ("rows", whole),
        ("columns", whole),
        ("half", whole),
    ] {
        let found = tensors.get(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            (found.shape.as_slice(), found.values().unwrap()),
            ([2, 3].as_slice(), values.to_vec()),
            "{name}"
        );
    }
    let refused = |name: &str| tensors[name].values().unwrap_err().to_string();
    assert!(
        refused("by_channel").contains("per_channel_affine (save tensor.dequantize())"),
        "{}",
        refused("by_channel")
    );
    assert!(
        refused("whole").contains("a NumPy array of <i8, expected floating-point"),
        "{}",
        refused("whole")
    );
    assert_eq!(objects["module"], "torch.nn.modules.linear.Linear");
}

#[test]
fn an_array_of_numpy_that_does_not_fill_its_shape_is_refused() {
    let array = |rows: u8, data: &str| {
        let encoded = call(global("_codecs", "encode"), &[text(data), text("latin1")]);
        let order = tuple(&[b"K\x03".to_vec(), text("<"), NONE.into()]);
        let dtype = [
            call(global("numpy", "dtype"), &[text("f4"), FALSE.into(), TRUE.into()]),
            order,
            b"b".to_vec(),
        ];
        let shape = tuple(&[vec![b'K', rows]]);
        let state = tuple(&[b"K\x01".to_vec(), shape, dtype.concat(), FALSE.into(), encoded]);
        let made = call(global("numpy.core.multiarray", "_reconstruct"), &[]);
        read([made, state, b"b".to_vec()].concat())
    };
    assert_eq!(array(1, "\0\0\u{80}?").unwrap(), [1.0]);
    assert!(format!("{:#}", array(2, "\0\0\u{80}?").unwrap_err()).contains("do not fill it"));
    assert!(
        format!("{:#}", array(1, "\0\0\u{20ac}?").unwrap_err()).contains("not described as NumPy")
    );
}
