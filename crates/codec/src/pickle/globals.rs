//! The closed list of names that picklers write for plain data and for types of the value model.
//!
//! They are recognised by their names, and by the shape of their arguments where they are called.
//! Nothing is looked up, and a name that is not on the list is refused where it is read.
//!
//! - set, frozenset (protocols 0 to 3): `builtins.set([1, 2])`
//! - bytes (0 to 2): `_codecs.encode('text', 'latin1')`, and empty `builtins.bytes()`
//! - bytearray (0 to 4): `builtins.bytearray(b'…')`, `bytearray()`; before Python 3.8
//!   `bytearray('text', 'latin-1')`
//! - datetime, date, time: `datetime.datetime(bytes[, tz])`
//! - timedelta: `datetime.timedelta(days, seconds, microseconds)`
//! - a time zone: `datetime.timezone(timedelta[, name])`,
//!   `getattr(zoneinfo.ZoneInfo, '_unpickle')(key, flag)`
//! - Decimal, Fraction: `decimal.Decimal(str)`, `fractions.Fraction(str)` or of two ints
//! - complex: `builtins.complex(re, im)`
//! - UUID: `uuid.UUID` by NEWOBJ or `copyreg._reconstructor`, and a state `{'int': …}`
//! - range, deque: `builtins.range(start, stop, step)`, `collections.deque(())` and its items
//! - OrderedDict, defaultdict, Counter: `collections.OrderedDict()` and its items, `Counter({…})`
//! - paths: `pathlib.PosixPath(*parts)`
//! - numpy's scalars: `numpy.core.multiarray.scalar(dtype, bytes)`, with `numpy.dtype(…)` and its
//!   state
//! - numpy's arrays: `numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b'b')` and a state,
//!   or `numpy.core.numeric._frombuffer(buffer, dtype, shape, order)`

/// A name on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    Set,
    FrozenSet,
    Bytes,
    ByteArray,
    /// `_codecs.encode`
    Encode,
    GetAttr,
    Complex,
    Range,
    /// `object`, where protocols 0 and 1 build one.
    Object,
    /// `copyreg._reconstructor`
    Reconstructor,
    Datetime,
    Date,
    Time,
    Timedelta,
    Timezone,
    ZoneInfo,
    /// `ZoneInfo._unpickle`: what `getattr` gives, and no name.
    ZoneInfoUnpickle,
    Decimal,
    Fraction,
    Uuid,
    Deque,
    OrderedDict,
    DefaultDict,
    Counter,
    PosixPath,
    WindowsPath,
    NumpyDtype,
    NumpyScalar,
    NumpyNdarray,
    NumpyReconstruct,
    NumpyFromBuffer,
    /// A type that is named for nothing but to be what a defaultdict makes.
    Factory,
}

impl Global {
    /// What is called so. Python 2 had other names for some modules and types, and protocols 0 to 2
    /// still do.
    pub(super) fn named(module: &[u8], name: &[u8]) -> Option<Global> {
        Some(match (module, name) {
            (b"builtins" | b"__builtin__", name) => match name {
                b"set" => Global::Set,
                b"frozenset" => Global::FrozenSet,
                b"bytes" => Global::Bytes,
                b"bytearray" => Global::ByteArray,
                b"getattr" => Global::GetAttr,
                b"complex" => Global::Complex,
                b"range" | b"xrange" => Global::Range,
                b"object" => Global::Object,
                b"list" | b"dict" | b"tuple" | b"str" | b"int" | b"float" | b"bool" | b"long"
                | b"unicode" => Global::Factory,
                _ => return None,
            },
            (b"_codecs", b"encode") => Global::Encode,
            (b"copyreg" | b"copy_reg", b"_reconstructor") => Global::Reconstructor,
            (b"datetime", b"datetime") => Global::Datetime,
            (b"datetime", b"date") => Global::Date,
            (b"datetime", b"time") => Global::Time,
            (b"datetime", b"timedelta") => Global::Timedelta,
            (b"datetime", b"timezone") => Global::Timezone,
            (b"zoneinfo" | b"backports.zoneinfo", b"ZoneInfo") => Global::ZoneInfo,
            (b"decimal", b"Decimal") => Global::Decimal,
            (b"fractions", b"Fraction") => Global::Fraction,
            (b"uuid", b"UUID") => Global::Uuid,
            (b"collections", b"deque") => Global::Deque,
            (b"collections", b"OrderedDict") => Global::OrderedDict,
            (b"collections", b"defaultdict") => Global::DefaultDict,
            (b"collections", b"Counter") => Global::Counter,
            (b"pathlib" | b"pathlib._local", b"PosixPath" | b"PurePosixPath") => Global::PosixPath,
            (b"pathlib" | b"pathlib._local", b"WindowsPath" | b"PureWindowsPath") => {
                Global::WindowsPath
            }
            (b"numpy", b"dtype") => Global::NumpyDtype,
            (b"numpy", b"ndarray") => Global::NumpyNdarray,
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", name) => match name {
                b"scalar" => Global::NumpyScalar,
                b"_reconstruct" => Global::NumpyReconstruct,
                _ => return None,
            },
            (b"numpy.core.numeric" | b"numpy._core.numeric", b"_frombuffer") => {
                Global::NumpyFromBuffer
            }
            _ => return None,
        })
    }

    /// The name as Python shows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Global::Set => "set",
            Global::FrozenSet => "frozenset",
            Global::Bytes => "bytes",
            Global::ByteArray => "bytearray",
            Global::Encode => "_codecs.encode",
            Global::GetAttr => "getattr",
            Global::Complex => "complex",
            Global::Range => "range",
            Global::Object => "object",
            Global::Reconstructor => "copyreg._reconstructor",
            Global::Datetime => "datetime.datetime",
            Global::Date => "datetime.date",
            Global::Time => "datetime.time",
            Global::Timedelta => "datetime.timedelta",
            Global::Timezone => "datetime.timezone",
            Global::ZoneInfo => "zoneinfo.ZoneInfo",
            Global::ZoneInfoUnpickle => "zoneinfo.ZoneInfo._unpickle",
            Global::Decimal => "decimal.Decimal",
            Global::Fraction => "fractions.Fraction",
            Global::Uuid => "uuid.UUID",
            Global::Deque => "collections.deque",
            Global::OrderedDict => "collections.OrderedDict",
            Global::DefaultDict => "collections.defaultdict",
            Global::Counter => "collections.Counter",
            Global::PosixPath => "pathlib.PosixPath",
            Global::WindowsPath => "pathlib.WindowsPath",
            Global::NumpyDtype => "numpy.dtype",
            Global::NumpyScalar => "numpy.core.multiarray.scalar",
            Global::NumpyNdarray => "numpy.ndarray",
            Global::NumpyReconstruct => "numpy.core.multiarray._reconstruct",
            Global::NumpyFromBuffer => "numpy.core.numeric._frombuffer",
            Global::Factory => "a type",
        }
    }
}
