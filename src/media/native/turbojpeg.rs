//! libturbojpeg (TurboJPEG API 2 or later): encodes planes three times as fast as the built-in encoder, also on ARM.

#![allow(unsafe_code, reason = "a C library; see the module above")]

use std::ffi::{CStr, c_char, c_int, c_uchar, c_ulong, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;

use libloading::Library;

/// `TJSAMP_420`.
const SAMP_420: c_int = 2;

type CompressFromPlanes = unsafe extern "C" fn(
    *mut c_void,
    *const *const c_uchar,
    c_int,
    *const c_int,
    c_int,
    c_int,
    *mut *mut c_uchar,
    *mut c_ulong,
    c_int,
    c_int,
) -> c_int;

struct Api {
    init: unsafe extern "C" fn() -> *mut c_void,
    compress: CompressFromPlanes,
    destroy: unsafe extern "C" fn(*mut c_void) -> c_int,
    free: unsafe extern "C" fn(*mut c_uchar),
    error: unsafe extern "C" fn(*mut c_void) -> *mut c_char,
    // Kept loaded for as long as the functions are callable: for ever.
    _library: Library,
}

fn api() -> Option<&'static Api> {
    static API: OnceLock<Option<Api>> = OnceLock::new();
    API.get_or_init(|| {
        // SAFETY: loading runs the initialisers of the distribution's own library, which have no requirements; these
        // functions have had these signatures since TurboJPEG 1.4 (`tjGetErrorStr2` since 2.0), under this soname.
        unsafe {
            let library = Library::new("libturbojpeg.so.0").ok()?;
            Some(Api {
                init: *library.get(b"tjInitCompress\0").ok()?,
                compress: *library.get(b"tjCompressFromYUVPlanes\0").ok()?,
                destroy: *library.get(b"tjDestroy\0").ok()?,
                free: *library.get(b"tjFree\0").ok()?,
                error: *library.get(b"tjGetErrorStr2\0").ok()?,
                _library: library,
            })
        }
    })
    .as_ref()
}

/// Whether the library is installed; it is loaded by the first call.
pub fn is_available() -> bool {
    api().is_some()
}

/// Encodes 4:2:0 planes without padding, in full range, as JPEG of `quality` (1 to 100).
///
/// `None` when the library is not installed; the error is the library's own words.
pub fn encode(
    (width, height): (usize, usize),
    planes: [&[u8]; 3],
    quality: u8,
) -> Option<Result<Vec<u8>, String>> {
    Some(api()?.encode((width, height), planes, quality))
}

impl Api {
    fn encode(
        &self,
        (width, height): (usize, usize),
        planes: [&[u8]; 3],
        quality: u8,
    ) -> Result<Vec<u8>, String> {
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        let number =
            |pixels: usize| c_int::try_from(pixels).ok().filter(|pixels| (1..=65_535).contains(pixels));
        let (Some(columns), Some(lines)) = (number(width), number(height)) else {
            return Err("more than 65535 pixels on a side, or none".to_owned());
        };
        if planes[0].len() < width * height || planes[1..].iter().any(|plane| plane.len() < chroma) {
            return Err("planes that are too short".to_owned());
        }
        // The library reads luma by whole chroma samples: of an odd size one column and one line more than the picture has.
        let (even_width, even_height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let padded;
        let luma = if (even_width, even_height) == (width, height) {
            planes[0]
        } else {
            padded = padded_to_even(planes[0], (width, height));
            &padded
        };
        let (Some(luma_columns), true) = (number(even_width), luma.len() >= even_width * even_height) else {
            return Err("more than 65535 pixels on a side".to_owned());
        };
        // SAFETY: returns null or a handle.
        let handle = unsafe { (self.init)() };
        let handle = Handle { api: self, handle: NonNull::new(handle).ok_or("out of memory")? };
        let sources = [luma, planes[1], planes[2]].map(<[u8]>::as_ptr);
        let strides = [luma_columns, (columns + 1) / 2, (columns + 1) / 2];
        let (mut out, mut length) = (null_mut(), 0);
        // SAFETY: three planes as long as their strides and the size say, rounded up to whole chroma samples, as was checked;
        // the library allocates the output.
        let result = unsafe {
            (self.compress)(
                handle.handle.as_ptr(),
                sources.as_ptr(),
                columns,
                strides.as_ptr(),
                lines,
                SAMP_420,
                &mut out,
                &mut length,
                c_int::from(quality.clamp(1, 100)),
                0,
            )
        };
        let written = (result == 0 && !out.is_null())
            .then(|| usize::try_from(length).ok())
            .flatten()
            // SAFETY: the library wrote `length` bytes there.
            .map(|length| unsafe { std::slice::from_raw_parts(out, length) }.to_vec());
        // SAFETY: allocated by the library, or null.
        unsafe { (self.free)(out) };
        written.ok_or_else(|| {
            // SAFETY: the handle is valid; the text ends with a zero and lives as long as the handle.
            let text = unsafe { CStr::from_ptr((self.error)(handle.handle.as_ptr())) };
            text.to_string_lossy().into_owned()
        })
    }
}

/// A plane of an even number of columns and lines, the last ones doubled where they have to be.
fn padded_to_even(plane: &[u8], (width, height): (usize, usize)) -> Vec<u8> {
    let even_width = width.next_multiple_of(2);
    let mut padded = Vec::with_capacity(even_width * height.next_multiple_of(2));
    for line in plane.chunks_exact(width).take(height) {
        padded.extend_from_slice(line);
        padded.extend(line.last().filter(|_| even_width > width));
    }
    if height % 2 == 1 {
        padded.extend_from_within(padded.len() - even_width..);
    }
    padded
}

struct Handle<'a> {
    api: &'a Api,
    handle: NonNull<c_void>,
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `tjInitCompress`, given back once.
        unsafe { (self.api.destroy)(self.handle.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_of_odd_size_is_padded_with_its_last_column_and_line() {
        assert_eq!(padded_to_even(&[1, 2, 3, 4, 5, 6], (3, 2)), [1, 2, 3, 3, 4, 5, 6, 6]);
        assert_eq!(padded_to_even(&[1, 2, 3, 4, 5, 6], (2, 3)), [1, 2, 3, 4, 5, 6, 5, 6]);
        assert_eq!(padded_to_even(&[7], (1, 1)), [7, 7, 7, 7]);
    }

    #[test]
    fn the_last_column_and_line_of_an_odd_size_are_as_they_were() {
        if !is_available() {
            return;
        }
        // Exactly as long as the picture: what lies behind it is anybody's.
        let (width, height) = (641_usize, 359_usize);
        let luma = vec![90_u8; width * height].into_boxed_slice();
        let chroma = vec![128_u8; width.div_ceil(2) * height.div_ceil(2)].into_boxed_slice();
        for _ in 0..20 {
            let jpeg = encode((width, height), [&luma, &chroma, &chroma], 85).unwrap().unwrap();
            let decoded = image::load_from_memory(&jpeg).unwrap().into_luma8();
            assert_eq!((decoded.width(), decoded.height()), (641, 359));
            assert!(decoded.pixels().all(|pixel| pixel.0 == [90]));
        }
    }
}
