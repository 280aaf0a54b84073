//! Paths, joined and normalised as `pathlib` does it.
//!
//! Python 3.13 and later pickle the raw arguments of a path's constructor, earlier ones its parts.
//! One way does for both, since parts come out as they are. The exceptions are Windows paths that
//! 3.13 reads another way than their writer: those with a name that looks like a drive, such as
//! `c:x`, and before 3.12 those that begin with `\\?\` or `\\.\`. The names in the comments are
//! those of `posixpath`, `ntpath` and `pathlib`.

/// Appends what `str()` of `pathlib.PurePosixPath(*parts)` is.
pub(super) fn put_posix(parts: &[&[u8]], out: &mut Vec<u8>) {
    let start = out.len();
    // An absolute part makes those before it meaningless.
    let first = parts.iter().rposition(|part| part.starts_with(b"/")).unwrap_or(0);
    let parts = &parts[first..];
    let slashes = parts.first().map_or(0, |part| part.iter().take_while(|&&b| b == b'/').count());
    // POSIX leaves open what two slashes mean, so Python keeps them; three are one.
    out.extend_from_slice(match slashes {
        0 => b"",
        2 => b"//",
        _ => b"/",
    });
    let root_end = out.len();
    for part in parts {
        out.extend_from_slice(part);
        out.push(b'/');
    }
    squeeze(out, root_end, b'/');
    if out.len() == start {
        out.push(b'.');
    }
}

/// Appends what `str()` of `pathlib.PureWindowsPath(*parts)` is.
pub(super) fn put_windows(parts: &[&[u8]], out: &mut Vec<u8>) {
    let start = out.len();
    join(parts, out);
    // The joined text is split anew: `\\srv` and `share` have become one drive.
    let Split { drive, root, .. } = split(&out[start..]);
    let head = drive.len() + root.len();
    if root.is_empty() && is_share(drive) {
        out.push(b'\\');
    } else {
        squeeze(out, start + head, b'\\');
    }
    // A name that looks like a drive stays a name: `.\c:x`.
    if head == 0 && !split(&out[start..]).drive.is_empty() {
        out.splice(start..start, *b".\\");
    }
    if out.len() == start {
        out.push(b'.');
    }
}

/// Drops the empty names and the `.` from `out[start..]`, and the separator at its end.
fn squeeze(out: &mut Vec<u8>, start: usize, separator: u8) {
    let (mut read, mut written) = (start, start);
    while read < out.len() {
        let rest = &out[read..];
        let length = rest.iter().position(|&b| b == separator).unwrap_or(rest.len());
        let name = &rest[..length];
        if !name.is_empty() && name != b"." {
            if written > start {
                out[written] = separator;
                written += 1;
            }
            out.copy_within(read..read + length, written);
            written += length;
        }
        read += length + 1;
    }
    out.truncate(written);
}

/// Appends `ntpath.join(*parts)`, with every `/` turned into `\`.
fn join(parts: &[&[u8]], out: &mut Vec<u8>) {
    let (mut drive, mut root, mut first): (&[u8], &[u8], usize) = (b"", b"", 0);
    for (index, part) in parts.iter().enumerate() {
        let part = split(part);
        if !part.root.is_empty() {
            // A root without a drive keeps the drive.
            if !part.drive.is_empty() {
                drive = part.drive;
            }
            (root, first) = (part.root, index);
        } else if !part.drive.is_empty() {
            if !same_drive(part.drive, drive) {
                (root, first) = (b"", index);
            }
            drive = part.drive;
        }
    }

    let put = |text: &[u8], out: &mut Vec<u8>| {
        out.extend(text.iter().map(|&b| if b == b'/' { b'\\' } else { b }));
    };
    put(drive, out);
    let mut rests =
        parts[first..].iter().map(|part| split(part).rest).skip_while(|r| r.is_empty()).peekable();
    let unfinished = drive.last().is_some_and(|&last| last != b':' && !is_separator(last));
    if !root.is_empty() || (unfinished && rests.peek().is_some()) {
        out.push(b'\\');
    }
    let path_start = out.len();
    for rest in rests {
        if out.len() > path_start && !out.ends_with(b"\\") {
            out.push(b'\\');
        }
        put(rest, out);
    }
}

/// Drives are compared without regard to case, but `//srv/share` is not `\\srv\share`.
///
/// A drive is compared with its two neighbours at most, so the cost of a join stays linear.
fn same_drive(one: &[u8], other: &[u8]) -> bool {
    let lower = |drive| String::from_utf8_lossy(drive).to_lowercase();
    one == other || lower(one) == lower(other)
}

/// What `ntpath.splitroot` makes of a path. One after the other they are the path.
struct Split<'p> {
    /// `C:`, `\\srv\share`, `\\?\UNC\srv\share`, `\\.\device`, or nothing.
    drive: &'p [u8],
    /// A separator, or nothing.
    root: &'p [u8],
    rest: &'p [u8],
}

fn split(path: &[u8]) -> Split<'_> {
    let separator = |from: usize| {
        let at = path.get(from..)?.iter().position(|&b| is_separator(b))?;
        Some(from + at)
    };
    let drive = match path {
        [a, b, ..] if is_separator(*a) && is_separator(*b) => {
            let server = if starts_with_unc(path) { 8 } else { 2 };
            separator(server).and_then(|at| separator(at + 1)).unwrap_or(path.len())
        }
        [a, ..] if is_separator(*a) => 0,
        // Any one character before a colon is a drive, so the length of the first one counts.
        [a, ..] => {
            let colon = match a {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                0xf0.. => 4,
            };
            if path.get(colon) == Some(&b':') { colon + 1 } else { 0 }
        }
        [] => 0,
    };
    let (drive, path) = path.split_at(drive);
    let root = usize::from(path.first().is_some_and(|&first| is_separator(first)));
    let (root, rest) = path.split_at(root);
    Split { drive, root, rest }
}

/// Whether a path begins with `\\?\UNC\`.
fn starts_with_unc(path: &[u8]) -> bool {
    let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (is_separator(*a) && *b == b'\\');
    path.len() >= 8 && path.iter().zip(br"\\?\UNC\").all(same)
}

/// Whether a drive is the name of a share, which has a root even if none is written.
fn is_share(drive: &[u8]) -> bool {
    if !drive.starts_with(b"\\") || drive.ends_with(b"\\") {
        return false;
    }
    let mut names = drive.split(|&b| b == b'\\');
    let server = names.nth(2);
    match names.count() {
        // The server is looked for in the string `?.`.
        1 => server.is_some_and(|server| !matches!(server, b"" | b"?" | b"." | b"?.")),
        3 => true,
        _ => false,
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'\\' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    type Put = fn(&[&[u8]], &mut Vec<u8>);

    /// Compares each row with what is put after another text.
    #[track_caller]
    fn check(put: Put, rows: &[(&[&str], &str)]) {
        for (parts, expected) in rows {
            let bytes: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            let mut out = b"./".to_vec();
            put(&bytes, &mut out);
            assert_eq!(str::from_utf8(&out), Ok(&*format!("./{expected}")), "{parts:?}");
        }
    }

    // The tables were written by Python 3.13.

    #[test]
    fn posix_paths_are_those_of_python() {
        let rows: &[(&[&str], &str)] = &[
            (&[], "."),
            (&[""], "."),
            (&["."], "."),
            (&["", ".", "./"], "."),
            (&["a", "", "b"], "a/b"),
            (&["a//./b", "../c/"], "a/b/../c"),
            (&["a", "/b"], "/b"),
            (&["/a", "b", "c"], "/a/b/c"),
            (&["//a", "b"], "//a/b"),
            (&["///a"], "/a"),
            (&["/", "//", "x"], "//x"),
            (&["//", "/x"], "/x"),
            (&["//"], "//"),
            (&["//."], "//"),
            (&["/.."], "/.."),
            (&["..", "...", ".a."], "../.../.a."),
            (&[r"a\b", "C:/x"], r"a\b/C:/x"),
            (&["é/", "./ü"], "é/ü"),
            (&["/a", ""], "/a"),
        ];
        check(put_posix, rows);
    }

    #[test]
    fn windows_paths_are_those_of_python() {
        let rows: &[(&[&str], &str)] = &[
            (&[], "."),
            (&["", "."], "."),
            (&[r"a/b\", "./c", ".."], r"a\b\c\.."),
            (&["C:"], "C:"),
            (&["C:", "x"], "C:x"),
            (&[r"C:\", "x"], r"C:\x"),
            (&["C:/x", "y"], r"C:\x\y"),
            (&["C:", r"\", "a"], r"C:\a"),
            (&[r"C:\a", "/b"], r"C:\b"),
            (&[r"C:\a", "D:b"], "D:b"),
            (&[r"C:\a", "c:b"], r"c:\a\b"),
            (&["c:a", "C:"], "C:a"),
            (&["C:a", "C:/b"], r"C:\b"),
            (&[r"C:\a", r"\\srv\share"], r"\\srv\share\"),
            (&["//srv/share"], r"\\srv\share\"),
            (&[r"\\srv", "share", "a"], r"\\srv\share\a"),
            (&[r"\\srv\", "share"], r"\\srv\share\"),
            (&[r"\\srv\share", "a"], r"\\srv\share\a"),
            (&[r"\\srv\share", "/a"], r"\\srv\share\a"),
            (&[r"\\srv\share\", "a"], r"\\srv\share\a"),
            (&[r"\\Srv\Share\a", r"\\sRV\sHARE", "b"], r"\\sRV\sHARE\a\b"),
            (&[r"\\srv\share\a", "//srv/share", "b"], r"\\srv\share\b"),
            (&[r"\\srv", "/x", "y"], r"\\srv\x\y"),
            (&[r"\\"], r"\\"),
            (&[r"\\", "a", "b"], r"\\a\b\"),
            (&[r"\\\a\b"], r"\\\a\b"),
            (&[r"\\?\C:\a"], r"\\?\C:\a"),
            (&[r"\\?\C:", "a"], r"\\?\C:a"),
            (&[r"\\.\COM1"], r"\\.\COM1"),
            (&[r"\\.\COM1", ""], r"\\.\COM1"),
            (&[r"\\?.\x"], r"\\?.\x"),
            (&["//?/unc/srv/share", "a"], r"\\?\unc\srv\share\a"),
            (&[r"\\?\UNC\srv", "a", "b"], r"\\?\UNC\srv\a\b"),
            (&[r"\\?\UNC\a\b\"], r"\\?\UNC\a\b\"),
            (&["./c:x"], r".\c:x"),
            (&[".", "./é:x/"], r".\é:x"),
            (&[".//./c:", "b"], r".\c:\b"),
            (&["a", "c:x"], "c:x"),
            (&["a", "./c:x"], r"a\c:x"),
            (&["é:x", "É:y"], r"É:x\y"),
            (&[r"é:\x", "/y"], r"é:\y"),
            (&["éa:x"], "éa:x"),
            (&["😀:", "x"], "😀:x"),
            (&["::", "a"], "::a"),
            (&[":a"], ":a"),
            (&[r"\\sΣ\a\x", r"\\sς\a", "b"], r"\\sς\a\x\b"),
            (&[r"\\sΣ\a\x", r"\\sσ\a", "b"], r"\\sσ\a\b"),
            (&[r"\\ß\a\x", r"\\SS\a", "b"], r"\\SS\a\b"),
            (&[r"\a", "b", "/c"], r"\c"),
            (&["/", r"\\"], r"\\"),
            (&["C:", ""], "C:"),
        ];
        check(put_windows, rows);
    }

    #[test]
    fn parts_of_earlier_pythons_stay() {
        let posix: &[(&[&str], &str)] =
            &[(&["/", "a", "b"], "/a/b"), (&["//", "a", ".."], "//a/.."), (&["a", "b"], "a/b")];
        check(put_posix, posix);
        let windows: &[(&[&str], &str)] = &[
            (&[r"C:\", "x", "y"], r"C:\x\y"),
            (&["C:", "x", "y"], r"C:x\y"),
            (&[r"\\srv\share\", "a", "b"], r"\\srv\share\a\b"),
            (&[r"\", "a"], r"\a"),
        ];
        check(put_windows, windows);
    }

    #[test]
    fn many_drives_cost_no_more_than_their_text() {
        let long = format!(r"\\srv\{}", "É".repeat(1 << 16));
        let mut parts = vec![long.as_bytes(); 2];
        parts.resize(1 << 16, b"c:x");
        let mut out = Vec::new();
        put_windows(&parts, &mut out);
        assert_eq!(out.len(), "c:x".len() + r"\x".len() * (parts.len() - 3));
    }
}
