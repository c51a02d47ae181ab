//! What a picture should look like: the same frame, decoded by ffmpeg, in the range of a JPEG.

use std::path::Path;
use std::process::Stdio;

use camera_capture::demo::framecode::{self, Reading};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Frames a second of every loop.
const FPS: u64 = 25;

/// Video of so many lines and more is in BT.709 where it does not say otherwise.
const HD_LINES: usize = 720;

/// A picture as samples of full range, chroma of half the size.
pub(crate) struct Planes {
    width: usize,
    height: usize,
    samples: Vec<u8>,
}

/// How much alike two pictures are, in decibels (peak signal to noise ratio); the less alike chroma plane counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Likeness {
    pub(crate) luma: f64,
    pub(crate) chroma: f64,
}

impl Planes {
    /// The samples of a JPEG file, as they are in it.
    pub(crate) async fn of_jpeg(jpeg: &[u8], (width, height): (usize, usize)) -> Result<Self, String> {
        ffmpeg(&["-f", "mjpeg", "-i", "-", "-pix_fmt", "yuvj420p"], jpeg.to_vec(), (width, height)).await
    }

    /// The frame of a loop that has this code; video range is expanded, ten bits become eight, and BT.709, which video of
    /// high definition is in, becomes the BT.601 of every JPEG.
    pub(crate) async fn of_loop(file: &Path, code: Reading, size: (usize, usize)) -> Result<Self, String> {
        let index = (code.ms * FPS + 500) / 1000;
        let path = file.to_string_lossy();
        let is_hd = size.1 >= HD_LINES && codec_of(&path).await? != "mjpeg";
        let matrix = if is_hd { "format=yuv420p,colormatrix=bt709:bt601," } else { "" };
        let filter =
            format!("select=eq(n\\,{index}),{matrix}scale=out_range=pc:flags=accurate_rnd,format=yuvj420p");
        ffmpeg(&["-i", &path, "-vf", &filter, "-frames:v", "1"], Vec::new(), size).await
    }

    /// The code it shows.
    pub(crate) fn code(&self) -> Option<Reading> {
        framecode::read(&self.samples[..self.width * self.height], self.width, self.height, self.width)
    }

    /// Compares pictures of one size.
    pub(crate) fn likeness(&self, other: &Self) -> Likeness {
        assert_eq!((self.width, self.height), (other.width, other.height));
        let luma = self.width * self.height;
        let chroma = self.width.div_ceil(2) * self.height.div_ceil(2);
        let part = |from: usize, length: usize| {
            psnr(&self.samples[from..from + length], &other.samples[from..from + length])
        };
        Likeness { luma: part(0, luma), chroma: part(luma, chroma).min(part(luma + chroma, chroma)) }
    }
}

/// The name of the codec of a file.
async fn codec_of(path: &str) -> Result<String, String> {
    let arguments = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", path];
    let output = Command::new("ffprobe").args(arguments).output().await;
    let output = output.map_err(|error| format!("ffprobe: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

async fn ffmpeg(
    arguments: &[&str],
    input: Vec<u8>,
    (width, height): (usize, usize),
) -> Result<Planes, String> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments)
        .args(["-f", "rawvideo", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("ffmpeg: {error}"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let feeding = tokio::spawn(async move {
        // One that has its picture reads no further.
        let _ = stdin.write_all(&input).await;
    });
    let output = child.wait_with_output().await.map_err(|error| format!("ffmpeg: {error}"))?;
    feeding.await.map_err(|error| error.to_string())?;
    let expected = width * height + 2 * width.div_ceil(2) * height.div_ceil(2);
    if output.stdout.len() != expected {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("ffmpeg gave {} bytes instead of {expected}: {said}", output.stdout.len()));
    }
    Ok(Planes { width, height, samples: output.stdout })
}

fn psnr(left: &[u8], right: &[u8]) -> f64 {
    let squares: u64 = left.iter().zip(right).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    if squares == 0 {
        return f64::INFINITY;
    }
    10.0 * (255.0_f64.powi(2) * left.len() as f64 / squares as f64).log10()
}
