//! libavcodec (FFmpeg 4 to 8): three times as fast as OpenH264 on a CABAC stream, and H.265.
//!
//! Options are set by name (`av_opt_set`), never by field. Of structures only these fields are read or written, which
//! lie at the same place from libavcodec 58 to 62 and libavutil 56 to 60: `AVPacket` `pts`, `data`, `size`; `AVFrame`
//! `data`, `linesize`, `width`, `height`, `format`, `pts` (frame.h and packet.h of these versions).

#![allow(unsafe_code, reason = "a C library; see the module above")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{NonNull, null, null_mut};
use std::sync::OnceLock;

use libloading::Library;

use super::complaint::{ComplaintEar, complain};
use crate::media::decoder::{Chroma, DecodedPicture, Decoder, Plane};
use crate::media::footprint::PIXELS_MAX;
use crate::media::gop::{AccessUnit, Codec};
use crate::media::unit;

/// Supported pairs of libavcodec and libavutil, the newest first.
const VERSIONS: &[(&str, &str)] = &[
    ("libavcodec.so.62", "libavutil.so.60"),
    ("libavcodec.so.61", "libavutil.so.59"),
    ("libavcodec.so.60", "libavutil.so.58"),
    ("libavcodec.so.59", "libavutil.so.57"),
    ("libavcodec.so.58", "libavutil.so.56"),
];

/// `AVERROR(EAGAIN)`: nothing more comes out before more goes in.
const AGAIN: c_int = -11;

/// `AVERROR_EOF`: minus the characters `EOF `, lowest first.
const END: c_int = -0x2046_4f45;

/// `AV_LOG_ERROR`: something went wrong and data was lost. Lower numbers are worse.
const LOG_ERROR: c_int = 16;

/// `AV_LOG_INFO`.
const LOG_INFO: c_int = 32;

/// What the library says, as mere information, when it paints over what is missing of a picture.
const CONCEALING: &[u8] = b"concealing";

/// What it says when a picture that is to be forgotten is not there, as after a recovery point with pictures before it. The
/// pictures that are missing are noticed by [`crate::media::continuity`].
const FORGOTTEN: &[u8] = b"mmco: unref short failure";

/// What counts as damage where decoding begins with an IDR: everything.
const STRICT: &CStr = c"+crccheck+bitstream+buffer+explode";

/// And where it begins elsewhere; what goes wrong there is told by the log.
const LENIENT: &CStr = c"+crccheck+bitstream+buffer-explode";

/// The option that carries the number of [`ComplaintEar::Crew`]: only encoders heed it, and each thread's context has a copy.
const NUMBER: &CStr = c"g";

/// What says only that a unit begins (ITU-T H.264 section 7.3.2.4, H.265 section 7.3.2.5).
const DELIMITER_H264: &[u8] = &[0, 0, 0, 1, 0x09, 0xf0];
const DELIMITER_H265: &[u8] = &[0, 0, 0, 1, 0x46, 0x01, 0x50];

/// Takes the place of the library's own log, which would write to our standard error.
///
/// The last argument is a `va_list`, which is a pointer or passed by one on every architecture Linux runs on; it is not
/// touched.
unsafe extern "C" fn log(context: *mut c_void, level: c_int, format: *const c_char, _arguments: *mut c_void) {
    if format.is_null() || level > LOG_INFO {
        return;
    }
    // SAFETY: formats are string literals of the library, which stays loaded.
    let format: &'static CStr = unsafe { CStr::from_ptr(format) };
    let words = format.to_bytes();
    if level > LOG_ERROR && !words.starts_with(CONCEALING) || words.starts_with(FORGOTTEN) {
        return;
    }
    let mut number = 0_i64;
    // SAFETY: whatever has something to say begins with its class, as the function wants, or is null.
    let is_known = !context.is_null()
        && loaded().is_some_and(|api| unsafe {
            (api.av_opt_get_int)(context, NUMBER.as_ptr(), 0, &raw mut number) >= 0
        });
    complain(format, is_known.then_some(number));
}

/// `AVPacket` up to the last field we touch.
#[repr(C)]
struct Packet {
    buf: *mut c_void,
    pts: i64,
    dts: i64,
    data: *mut u8,
    size: c_int,
}

/// `AVFrame` up to the last field we read. What lies between `format` and `pts` differs from version to version, its
/// length does not: `key_frame` and `pict_type` before libavutil 60, `pict_type` and padding since.
#[repr(C)]
struct Picture {
    data: [*mut u8; 8],
    linesize: [c_int; 8],
    extended_data: *mut *mut u8,
    width: c_int,
    height: c_int,
    nb_samples: c_int,
    format: c_int,
    between: [u32; 4],
    pts: i64,
}

type Context = c_void;

type LogCallback = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *mut c_void);

macro_rules! library {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)? , from $library:tt;)*) => {
        struct Api {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            // Kept loaded for as long as the functions are callable: for ever.
            _libraries: (Library, Library),
        }

        impl Api {
            /// # Safety
            ///
            /// The libraries must be the versions whose functions have these signatures.
            unsafe fn of(libraries: (Library, Library)) -> Option<Self> {
                Some(Self {
                    // SAFETY: the caller vouches for the signature.
                    $($name: unsafe { *libraries.$library.get(concat!(stringify!($name), "\0").as_bytes()).ok()? },)*
                    _libraries: libraries,
                })
            }
        }
    };
}

library! {
    avcodec_find_decoder_by_name: fn(*const c_char) -> *const c_void, from 0;
    avcodec_alloc_context3: fn(*const c_void) -> *mut Context, from 0;
    avcodec_free_context: fn(*mut *mut Context), from 0;
    avcodec_open2: fn(*mut Context, *const c_void, *mut *mut c_void) -> c_int, from 0;
    avcodec_send_packet: fn(*mut Context, *const Packet) -> c_int, from 0;
    avcodec_receive_frame: fn(*mut Context, *mut Picture) -> c_int, from 0;
    avcodec_flush_buffers: fn(*mut Context), from 0;
    av_packet_alloc: fn() -> *mut Packet, from 0;
    av_packet_free: fn(*mut *mut Packet), from 0;
    av_packet_unref: fn(*mut Packet), from 0;
    av_new_packet: fn(*mut Packet, c_int) -> c_int, from 0;
    av_frame_alloc: fn() -> *mut Picture, from 1;
    av_frame_free: fn(*mut *mut Picture), from 1;
    av_opt_get_int: fn(*mut c_void, *const c_char, c_int, *mut i64) -> c_int, from 1;
    av_opt_set: fn(*mut c_void, *const c_char, *const c_char, c_int) -> c_int, from 1;
    av_get_pix_fmt_name: fn(c_int) -> *const c_char, from 1;
    av_log_set_callback: fn(LogCallback), from 1;
    av_strerror: fn(c_int, *mut c_char, usize) -> c_int, from 1;
}

static API: OnceLock<Option<Api>> = OnceLock::new();

/// What is loaded by now.
fn loaded() -> Option<&'static Api> {
    API.get()?.as_ref()
}

fn api() -> Option<&'static Api> {
    API.get_or_init(|| {
        VERSIONS.iter().find_map(|(avcodec, avutil)| {
            // SAFETY: loading runs the initialisers of the distribution's own library, which have no requirements; the
            // soname says which version's signatures it has, and they are the same in all that are listed.
            let api = unsafe {
                let (avutil, avcodec) = (Library::new(*avutil).ok()?, Library::new(*avcodec).ok()?);
                Api::of((avcodec, avutil))?
            };
            // SAFETY: may be called at any time; the function is there for ever.
            unsafe { (api.av_log_set_callback)(log) };
            Some(api)
        })
    })
    .as_ref()
}

/// Whether the library is installed in a supported version; it is loaded by the first call.
pub fn is_available() -> bool {
    api().is_some()
}

/// What the planes of a pixel format of the library hold, and bits a sample; `None` for one that is not made of planes of
/// luma and chroma. The range is told by the parameter sets, so `yuvj` is nothing else than `yuv` here.
fn layout(format: &[u8]) -> Option<(Chroma, u8)> {
    let (chroma, depth) = if let Some(depth) = format.strip_prefix(b"gray") {
        (Chroma::None, depth)
    } else {
        let planes = format.strip_prefix(b"yuvj").or_else(|| format.strip_prefix(b"yuv"))?;
        let (sampling, depth) = planes.split_at_checked(4)?;
        let chroma = match sampling {
            b"420p" => Chroma::Quarter,
            b"422p" => Chroma::Half,
            b"444p" => Chroma::Full,
            _ => return None,
        };
        (chroma, depth)
    };
    let bits = match depth {
        b"" => 8,
        b"9le" => 9,
        b"10le" => 10,
        b"12le" => 12,
        b"14le" => 14,
        _ => return None,
    };
    (bits == 8 || cfg!(target_endian = "little")).then_some((chroma, bits))
}

/// One decoder of the library.
pub struct Libav {
    api: &'static Api,
    context: NonNull<Context>,
    packet: NonNull<Packet>,
    picture: NonNull<Picture>,
    codec: Codec,
    /// Nothing has gone in since it was started or drained.
    is_fresh: bool,
    /// Pictures others refer to until what is shown is whole: it began where pictures are refreshed a part at a time.
    unclean: u32,
    threads: usize,
    ear: ComplaintEar,
}

// SAFETY: a context may be used by any thread as long as only one uses it at a time, which `&mut self` ensures.
unsafe impl Send for Libav {}

impl Libav {
    /// Starts a decoder; the error says what the library said. With more threads than one, it decodes as many pictures
    /// at once, and holds back all of them but one; it must begin with an IDR then, for what is not to be complained of
    /// is known unit by unit.
    pub fn start(codec: Codec, threads: usize) -> Result<Self, String> {
        let api = api().ok_or("libavcodec is not installed in a supported version")?;
        let name = match codec {
            Codec::H264 => c"h264",
            Codec::H265 => c"hevc",
            Codec::Jpeg => return Err("JPEG is not decoded".to_owned()),
        };
        let out_of_memory = || "out of memory".to_owned();
        // SAFETY: the name is a C string; the library returns null when it has no such decoder.
        let decoder = unsafe { (api.avcodec_find_decoder_by_name)(name.as_ptr()) };
        if decoder.is_null() {
            return Err(format!("this libavcodec has no decoder {}", name.to_string_lossy()));
        }
        // SAFETY: a decoder of the library; each allocation is null or valid, and what was made before one that fails
        // is given back.
        let made = unsafe {
            let context = NonNull::new((api.avcodec_alloc_context3)(decoder)).ok_or_else(out_of_memory)?;
            let packet = NonNull::new((api.av_packet_alloc)());
            let picture = NonNull::new((api.av_frame_alloc)());
            match (packet, picture) {
                (Some(packet), Some(picture)) => {
                    let ear = if threads > 1 { ComplaintEar::of_crew() } else { ComplaintEar::Here };
                    Self { api, context, packet, picture, codec, is_fresh: true, unclean: 0, threads, ear }
                }
                (packet, picture) => {
                    (api.avcodec_free_context)(&mut context.as_ptr());
                    (api.av_packet_free)(&mut packet.map_or(null_mut(), NonNull::as_ptr));
                    (api.av_frame_free)(&mut picture.map_or(null_mut(), NonNull::as_ptr));
                    return Err(out_of_memory());
                }
            }
        };
        // Threads that share a picture are not asked for: cameras mostly send it in one slice, and concealment is off
        // with them. Damage is an error; concealment stays on, because its log tells of slices that end early.
        // What a stream announces has been looked at before; this is for what was overlooked.
        let pixels = CString::new(PIXELS_MAX.to_string()).map_err(|error| error.to_string())?;
        let crew = CString::new(threads.to_string()).map_err(|error| error.to_string())?;
        let number = match made.ear {
            ComplaintEar::Here => None,
            ComplaintEar::Crew(number) => {
                Some(CString::new(number.to_string()).map_err(|error| error.to_string())?)
            }
        };
        let options = [
            (c"threads", crew.as_c_str()),
            (c"thread_type", c"frame"),
            (c"err_detect", STRICT),
            (c"max_pixels", pixels.as_c_str()),
        ];
        let number = number.as_deref().map(|number| (NUMBER, number));
        for (option, value) in options.into_iter().chain(number) {
            made.set(option, value)?;
        }
        // SAFETY: context and decoder belong together and the context is not open yet.
        let opened = unsafe { (api.avcodec_open2)(made.context.as_ptr(), decoder, null_mut()) };
        made.check(opened)?;
        Ok(made)
    }

    /// Makes it ready for the unit: where it begins without an IDR, it meets references to what was never there.
    fn prepare(&mut self, unit: &AccessUnit) -> Result<(), String> {
        if let Some(starts) = unit.starts {
            let is_idr = unit::kind(self.codec, &unit.data).is_idr;
            if is_idr {
                self.unclean = 0;
                self.set(c"err_detect", STRICT)?;
            } else if self.is_fresh {
                self.unclean = starts;
                self.set(c"err_detect", LENIENT)?;
                // Without it nothing is shown before the pictures are whole.
                self.set(c"flags", c"+output_corrupt")?;
            }
        }
        self.is_fresh = false;
        Ok(())
    }

    fn set(&self, option: &CStr, value: &CStr) -> Result<(), String> {
        // SAFETY: a context begins with its class, as the function wants; both texts are C strings.
        let result =
            unsafe { (self.api.av_opt_set)(self.context.as_ptr(), option.as_ptr(), value.as_ptr(), 0) };
        self.check(result).map_err(|error| format!("option {}: {error}", option.to_string_lossy()))
    }

    fn check(&self, result: c_int) -> Result<(), String> {
        if result >= 0 {
            return Ok(());
        }
        let mut text = [0 as c_char; 128];
        // SAFETY: the buffer is as long as said; the library ends the text with a zero.
        let text = unsafe {
            (self.api.av_strerror)(result, text.as_mut_ptr(), text.len());
            CStr::from_ptr(text.as_ptr())
        };
        Err(text.to_string_lossy().into_owned())
    }

    /// Does something with the library; a complaint of its log is an error.
    fn listen(&mut self, work: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.ear.listen();
        // It complains of what is missing until the pictures are whole.
        let is_unclean = self.unclean > 0;
        work(self)?;
        match self.ear.heard().filter(|_| !is_unclean) {
            Some(format) => Err(format!("it says \"{}\"", format.to_string_lossy().trim_end())),
            None => Ok(()),
        }
    }

    /// Shows every picture that is ready. Ends when there is none, or no more.
    fn receive(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        loop {
            // SAFETY: an open context and an allocated frame, which the function first empties.
            let result =
                unsafe { (self.api.avcodec_receive_frame)(self.context.as_ptr(), self.picture.as_ptr()) };
            if result == AGAIN || result == END {
                return Ok(());
            }
            self.check(result)?;
            show(self.shown()?);
        }
    }

    fn shown(&self) -> Result<DecodedPicture<'_>, String> {
        // SAFETY: a frame that was just received; it stays as it is until the next one is, which needs `&mut self`.
        let picture = unsafe { self.picture.as_ref() };
        // SAFETY: returns null for an unknown format, else a static text.
        let format = unsafe {
            let name = (self.api.av_get_pix_fmt_name)(picture.format);
            if name.is_null() { c"?" } else { CStr::from_ptr(name) }
        };
        let Some((chroma, bits)) = layout(format.to_bytes()) else {
            return Err(format!("pictures of the format {}", format.to_string_lossy()));
        };
        let size = usize::try_from(picture.width).ok().zip(usize::try_from(picture.height).ok());
        let Some((width, height)) = size.filter(|(width, height)| *width > 0 && *height > 0) else {
            return Err("a picture without a size".to_owned());
        };
        let plane = |i: usize, (width, height): (usize, usize)| {
            let bytes = usize::try_from(picture.linesize[i]);
            let bytes = bytes.ok().filter(|bytes| *bytes >= width * usize::from(bits.div_ceil(8)));
            let stride = bytes.filter(|_| !picture.data[i].is_null()).ok_or("a picture without samples")?;
            // SAFETY: the library has `height` lines of `linesize` bytes there; of the last one only its width is
            // taken. Planes are aligned to 16 bytes or more, and cropping moves them by whole samples.
            Ok::<_, String>(unsafe {
                if bits == 8 {
                    let length = stride * (height - 1) + width;
                    Plane::Eight(std::slice::from_raw_parts(picture.data[i], length), stride)
                } else {
                    let length = stride / 2 * (height - 1) + width;
                    Plane::Deep(std::slice::from_raw_parts(picture.data[i].cast(), length), stride / 2, bits)
                }
            })
        };
        let of_chroma = |i: usize| match chroma {
            Chroma::None => Ok(Plane::Eight(&[], 0)),
            Chroma::Quarter => plane(i, (width.div_ceil(2), height.div_ceil(2))),
            Chroma::Half => plane(i, (width.div_ceil(2), height)),
            Chroma::Full => plane(i, (width, height)),
        };
        let planes = [plane(0, (width, height))?, of_chroma(1)?, of_chroma(2)?];
        Ok(DecodedPicture { size: (width, height), planes, chroma, rtp_ns: Some(picture.pts) })
    }
}

impl Libav {
    fn send(
        &mut self,
        data: &[u8],
        pts: i64,
        show: &mut dyn FnMut(DecodedPicture<'_>),
    ) -> Result<(), String> {
        let length = c_int::try_from(data.len()).map_err(|_| "a unit of more than 2 GiB".to_owned())?;
        // SAFETY: `av_new_packet` gives the packet `length` bytes and the zeroed padding that must follow them, or fails; they are
        // written before the decoder reads them, and given back afterwards.
        let sent = unsafe {
            let packet = self.packet.as_ptr();
            self.check((self.api.av_new_packet)(packet, length))?;
            std::slice::from_raw_parts_mut((*packet).data, data.len()).copy_from_slice(data);
            (*packet).pts = pts;
            let sent = (self.api.avcodec_send_packet)(self.context.as_ptr(), packet);
            (self.api.av_packet_unref)(packet);
            sent
        };
        self.check(sent)?;
        self.receive(show)
    }

    /// Pushes out the pictures that the threads hold: each lets go of one when the next unit comes, also when that holds
    /// no picture. Such a unit is an error unless some pictures may be left out; here they may, for there are none.
    fn push(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        let delimiter = match self.codec {
            Codec::H265 => DELIMITER_H265,
            Codec::H264 | Codec::Jpeg => DELIMITER_H264,
        };
        self.set(c"skip_frame", c"noref")?;
        for _ in 1..self.threads {
            self.send(delimiter, 0, show)?;
        }
        self.set(c"skip_frame", c"default")
    }

    fn end(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        // SAFETY: a null packet says that no more comes; flushing makes the context ready for an IDR again.
        let sent = unsafe { (self.api.avcodec_send_packet)(self.context.as_ptr(), null()) };
        self.check(sent)?;
        let shown = self.receive(show);
        // SAFETY: see above.
        unsafe { (self.api.avcodec_flush_buffers)(self.context.as_ptr()) };
        shown
    }
}

impl Decoder for Libav {
    fn feed(&mut self, unit: &AccessUnit, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        self.prepare(unit)?;
        let fed = self.listen(|this| this.send(&unit.data, unit.rtp_ns, show));
        self.unclean = self.unclean.saturating_sub(u32::from(!unit.is_disposable));
        fed
    }

    fn drain(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        self.is_fresh = true;
        self.listen(|this| this.end(show))
    }

    fn catch_up(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        if self.threads == 1 { Ok(()) } else { self.listen(|this| this.push(show)) }
    }

    fn goes_on_after_drain(&self) -> bool {
        false
    }
}

impl Drop for Libav {
    fn drop(&mut self) {
        // SAFETY: each was allocated by its own function and is given back once.
        unsafe {
            (self.api.avcodec_free_context)(&mut self.context.as_ptr());
            (self.api.av_packet_free)(&mut self.packet.as_ptr());
            (self.api.av_frame_free)(&mut self.picture.as_ptr());
        }
    }
}
