//! The image work itself: thumbnails, resized photos, rendered films.
//!
//! Pure functions of their input, so that every answer can be checked and every run costs the same. Nothing here is a
//! busy loop made up to burn time: each function returns an image that took that work to make.

use std::io::Cursor;

use image::{
    DynamicImage, ImageReader, Limits, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops,
    imageops::FilterType,
};

/// Longest edge of a thumbnail, in pixels.
pub const THUMB_EDGE: std::ops::RangeInclusive<u32> = 16..=512;
/// Width of a resized photo, in pixels. A fixed part of the work reads the photo, the rest grows with the square.
pub const RESIZE_WIDTH: std::ops::RangeInclusive<u32> = 16..=2048;
/// Frames of a rendered film. The work grows in step: 600 frames are less than a second on a slow core.
pub const FRAMES: std::ops::RangeInclusive<u32> = 1..=600;
/// Longest edge of an image that is read, in pixels: a small file can unpack to gigabytes.
pub const INPUT_EDGE_MAX: u32 = 4096;
/// Memory that unpacking one image may take: 4096 x 4096 pixels of four bytes.
const INPUT_ALLOC_MAX: u64 = 64 * 1024 * 1024;
/// JPEG quality; 80 is what most image services use: visibly clean, a quarter of the size of 95.
const QUALITY: u8 = 80;

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no image that we read, or a broken one, or one larger than we unpack.
    #[error(
        "cannot read the posted image ({0}); post a JPEG or PNG of at most {INPUT_EDGE_MAX} x {INPUT_EDGE_MAX} pixels"
    )]
    Input(String),
    /// The JPEG could not be written.
    #[error("cannot encode the result as JPEG: {0}")]
    Encode(image::ImageError),
    /// Nobody waits for the answer any more.
    #[error("cancelled: the client went away")]
    Cancelled,
}

/// Returns the built-in photo as JPEG, 480 x 360: a dusk over water with a little grain.
///
/// Generated rather than shipped: no binary file in the repository, and the grain gives the codec what real photos do.
///
/// # Errors
/// [`Error::Encode`] when the encoder fails, which for an image of this size it has no reason to.
pub fn photo() -> Result<Vec<u8>, Error> {
    scene(480, 360)
}

/// Returns the scene of [`photo`] at `width` x `height` pixels, as JPEG.
///
/// # Errors
/// [`Error::Encode`] when either side is 0 or over 65,535, which JPEG cannot hold.
pub fn scene(width: u32, height: u32) -> Result<Vec<u8>, Error> {
    let horizon = height * 3 / 5;
    let (sun_x, sun_y, sun_radius) = (width / 3, height * 2 / 5, height / 9);
    let mut grain = 0x2545_F491_u32;
    let image = RgbImage::from_fn(width, height, |x, y| {
        // Marsaglia's xorshift32: the same grain on every machine.
        grain ^= grain << 13;
        grain ^= grain >> 17;
        grain ^= grain << 5;
        let noise = (grain >> 28).cast_signed() - 8;
        let (dx, dy) = (x.abs_diff(sun_x), y.abs_diff(sun_y));
        let height = height.max(1);
        let [r, g, b] = if dx * dx + dy * dy < sun_radius * sun_radius {
            [250, 220, 150]
        } else if y < horizon {
            let t = (y * 160 / height).cast_signed();
            [60 + t * 3 / 2, 60 + t, 130 + t / 3]
        } else {
            let wave = ((x * 7 + y * 31) % 24).cast_signed();
            [40 + wave, 60 + wave, 100 + wave]
        };
        Rgb([r, g, b].map(|channel: i32| (channel + noise).clamp(0, 255) as u8))
    });
    encode(&image)
}

/// Returns `input` as a JPEG whose longer edge is `edge` pixels.
///
/// # Errors
/// [`Error::Input`] when `input` is no image we read.
pub fn thumbnail(input: &[u8], edge: u32) -> Result<Vec<u8>, Error> {
    encode(&read(input)?.thumbnail(edge, edge).into_rgb8())
}

/// Returns `input` as a JPEG of `width` pixels, its proportions kept, with a cubic filter, which keeps edges.
///
/// # Errors
/// [`Error::Input`] when `input` is no image we read.
pub fn resize(input: &[u8], width: u32) -> Result<Vec<u8>, Error> {
    // The height is bounded too: a posted image of 1 x 4096 must not grow to 2048 x 8 million.
    let height_max = *RESIZE_WIDTH.end();
    encode(&read(input)?.resize(width, height_max, FilterType::CatmullRom).into_rgb8())
}

/// Size at which a frame of a film is computed.
const FRAME: (u32, u32) = (128, 96);
/// Size at which a frame stands on the contact sheet: a half each way.
const TILE: (u32, u32) = (64, 48);
/// Frames in one row of the contact sheet.
const TILES_IN_ROW: u32 = 12;
/// Steps after which a point counts as inside the set; doubling it doubles the price of the dark parts.
const STEPS_MAX: u32 = 160;

/// Angle from one frame to the next, in radians: frames then sample the circle evenly however many there are, so that
/// the cost grows in step with them. With small steps the first frames, which are cheap, would make short films cheaper.
const GOLDEN_ANGLE: f64 = 2.399_963_229_728_653;

/// Renders a film of `frames` frames, a walk around the edge of the Mandelbrot set seen as Julia sets, and returns its
/// contact sheet as JPEG. `cancelled` is asked before each frame.
///
/// # Errors
/// [`Error::Cancelled`] when `cancelled` says so.
pub fn render(frames: u32, cancelled: impl Fn() -> bool) -> Result<Vec<u8>, Error> {
    let columns = frames.clamp(1, TILES_IN_ROW);
    let rows = frames.div_ceil(columns).max(1);
    let mut sheet = RgbImage::new(columns * TILE.0, rows * TILE.1);
    for frame in 0..frames {
        if cancelled() {
            return Err(Error::Cancelled);
        }
        let angle = f64::from(frame) * GOLDEN_ANGLE;
        let tile =
            imageops::thumbnail(&julia(0.7885 * angle.cos(), 0.7885 * angle.sin()), TILE.0, TILE.1);
        imageops::replace(
            &mut sheet,
            &tile,
            i64::from(frame % columns * TILE.0),
            i64::from(frame / columns * TILE.1),
        );
    }
    encode(&sheet)
}

/// Computes one frame: how fast z <- z^2 + c leaves the circle of radius 2, for each point z of the frame.
fn julia(c_re: f64, c_im: f64) -> RgbImage {
    let (width, height) = FRAME;
    let scale = 3.2 / f64::from(width);
    RgbImage::from_fn(width, height, |x, y| {
        let mut re = (f64::from(x) - f64::from(width) / 2.0) * scale;
        let mut im = (f64::from(y) - f64::from(height) / 2.0) * scale;
        let mut steps = 0;
        while steps < STEPS_MAX && re * re + im * im <= 4.0 {
            (re, im) = (re * re - im * im + c_re, 2.0 * re * im + c_im);
            steps += 1;
        }
        let shade = (steps * 255 / STEPS_MAX) as u8;
        Rgb([shade.saturating_mul(3), shade.saturating_mul(2), 40_u8.saturating_add(shade)])
    })
}

fn read(input: &[u8]) -> Result<DynamicImage, Error> {
    let refused = |error: &dyn std::fmt::Display| Error::Input(error.to_string());
    let mut limits = Limits::default();
    limits.max_image_width = Some(INPUT_EDGE_MAX);
    limits.max_image_height = Some(INPUT_EDGE_MAX);
    limits.max_alloc = Some(INPUT_ALLOC_MAX);
    let mut reader = ImageReader::new(Cursor::new(input))
        .with_guessed_format()
        .map_err(|error| refused(&error))?;
    reader.limits(limits);
    reader.decode().map_err(|error| refused(&error))
}

fn encode(image: &RgbImage) -> Result<Vec<u8>, Error> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(image).map_err(Error::Encode)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(jpeg: &[u8]) -> (u32, u32) {
        let image = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).unwrap();
        (image.width(), image.height())
    }

    #[test]
    fn the_photo_is_the_same_each_time() {
        let photo = photo().unwrap();
        assert_eq!(photo, super::photo().unwrap());
        assert_eq!(size(&photo), (480, 360));
    }

    #[test]
    fn results_have_the_size_asked_for() {
        let photo = photo().unwrap();
        assert_eq!(size(&thumbnail(&photo, 96).unwrap()), (96, 72));
        assert_eq!(size(&resize(&photo, 300).unwrap()), (300, 225));
        assert_eq!(size(&render(1, || false).unwrap()), (64, 48));
        assert_eq!(size(&render(13, || false).unwrap()), (768, 96));
    }

    #[test]
    fn a_tall_image_stays_within_bounds() {
        let tall = encode(&RgbImage::new(1, 4000)).unwrap();
        let (width, height) = size(&resize(&tall, 2048).unwrap());
        assert!(width <= 2048 && height <= 2048, "{width} x {height}");
    }

    #[test]
    fn frames_of_a_film_differ() {
        assert_ne!(render(2, || false).unwrap(), render(3, || false).unwrap());
        assert_ne!(julia(0.7885, 0.0), julia(0.0, 0.7885));
    }

    #[test]
    fn a_cancelled_film_stops_at_the_next_frame() {
        let asked = std::cell::Cell::new(0);
        let result = render(600, || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        });
        assert!(matches!(result, Err(Error::Cancelled)));
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn what_is_no_image_is_refused_with_the_way_out() {
        let error = thumbnail(b"GIF89a, or so", 96).unwrap_err().to_string();
        assert!(error.contains("post a JPEG or PNG"), "{error}");
        let wide = encode(&RgbImage::new(INPUT_EDGE_MAX + 1, 1)).unwrap();
        assert!(matches!(thumbnail(&wide, 96), Err(Error::Input(_))));
        assert!(matches!(thumbnail(&photo().unwrap()[..500], 96), Err(Error::Input(_))));
    }
}
