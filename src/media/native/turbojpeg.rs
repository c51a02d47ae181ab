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
        // SAFETY: returns null or a handle.
        let handle = unsafe { (self.init)() };
        let handle = Handle { api: self, handle: NonNull::new(handle).ok_or("out of memory")? };
        let sources = planes.map(<[u8]>::as_ptr);
        let strides = [columns, (columns + 1) / 2, (columns + 1) / 2];
        let (mut out, mut length) = (null_mut(), 0);
        // SAFETY: three planes as long as their strides and the size say, as was checked; the library allocates the
        // output.
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
