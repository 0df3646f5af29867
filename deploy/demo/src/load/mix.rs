//! What each request asks for.
//!
//! The trace has no durations, so the mix is ours: mostly thumbnails, some resized photos from small to large, and a
//! few films. Few, because one film is worth hundreds of thumbnails: by count it is nothing, by work it is most.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;

use super::draw::Draw;
use crate::{runs, work};

/// One of the three routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// `POST /thumb`: a posted photo, made small. Short.
    Thumb,
    /// `GET /resize?width=W`: the cost depends on the request.
    Resize,
    /// `GET /render?frames=N`: about a second.
    Render,
}

impl Route {
    /// All routes, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Thumb, Self::Resize, Self::Render];

    /// Returns its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Thumb => "/thumb",
            Self::Resize => "/resize",
            Self::Render => "/render",
        }
    }

    /// Returns its place in [`Route::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns its share of the requests, 0 to 1.
    pub const fn share(self) -> f64 {
        match self {
            Self::Thumb => 0.86,
            Self::Resize => 0.13,
            Self::Render => 0.01,
        }
    }
}

/// Widths that are asked for, each as often: from an icon to a large screen, so most are short and the last is not.
const WIDTHS: [u32; 6] = [64, 128, 256, 512, 1024, 1600];
/// Mean of the squared widths: the work of a resize grows with the square.
const WIDTH_SQUARED_MEAN: f64 =
    (64 * 64 + 128 * 128 + 256 * 256 + 512 * 512 + 1024 * 1024 + 1600 * 1600) as f64 / 6.0;
/// Frames of a film, evenly between these.
const FRAMES: std::ops::RangeInclusive<u32> = 30..=119;

/// What one request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A thumbnail of the posted photo.
    Thumb,
    /// The built-in photo at this width, in pixels.
    Resize(u32),
    /// A film of so many frames.
    Render(u32),
}

impl Ask {
    /// Draws a request from the mix.
    pub fn draw(draw: &mut Draw) -> Self {
        let (route, size) = (draw.unit(), draw.unit());
        if route < Route::Render.share() {
            let span = f64::from(FRAMES.end() - FRAMES.start() + 1);
            Self::Render(FRAMES.start() + (size * span) as u32)
        } else if route < Route::Render.share() + Route::Resize.share() {
            Self::Resize(WIDTHS[(size * WIDTHS.len() as f64) as usize])
        } else {
            Self::Thumb
        }
    }

    /// Returns its route.
    pub const fn route(self) -> Route {
        match self {
            Self::Thumb => Route::Thumb,
            Self::Resize(_) => Route::Resize,
            Self::Render(_) => Route::Render,
        }
    }
}

/// Makes requests.
#[derive(Debug, Clone)]
pub struct Requests {
    host: String,
    photo: Bytes,
}

impl Requests {
    /// Makes requests to `host` (`host:port`), posting a small photo of 320 x 240 pixels to be made smaller.
    ///
    /// # Errors
    /// When the photo cannot be made.
    pub fn new(host: String) -> Result<Self, work::Error> {
        Ok(Self { host, photo: work::scene(320, 240)?.into() })
    }

    /// Makes the request number `id`.
    ///
    /// # Panics
    /// When the host that this was made with cannot stand in a header; an address can.
    pub fn make(&self, ask: Ask, id: u64) -> Request<Full<Bytes>> {
        let (method, target, body) = match ask {
            Ask::Thumb => (Method::POST, "/thumb".to_owned(), self.photo.clone()),
            Ask::Resize(width) => (Method::GET, format!("/resize?width={width}"), Bytes::new()),
            Ask::Render(frames) => (Method::GET, format!("/render?frames={frames}"), Bytes::new()),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, &self.host)
            .header(runs::HEADER, id);
        if ask == Ask::Thumb {
            request = request.header(header::CONTENT_TYPE, "image/jpeg");
        }
        request.body(Full::new(body)).expect("method, target and headers are made of valid parts")
    }
}

/// What the mix costs, in seconds of one core, given the cost of a thumbnail, of a resize to `width` and of a frame.
///
/// `mean = sum of share x cost`: with 2 ms, 100 ms at 1,600 pixels and 10 ms a frame, 0.86 x 2 ms + 0.13 x 25.8 ms +
/// 0.01 x 745 ms = 12.5 ms.
pub fn mean_cost(thumb: f64, resize: (u32, f64), frame: f64) -> f64 {
    let resize_mean = resize.1 * WIDTH_SQUARED_MEAN / (f64::from(resize.0) * f64::from(resize.0));
    let frames_mean = f64::from(FRAMES.start() + FRAMES.end()) / 2.0;
    Route::Thumb.share() * thumb
        + Route::Resize.share() * resize_mean
        + Route::Render.share() * frames_mean * frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_shares() {
        let mut draw = Draw::new(3);
        let mut counts = [0_u32; 3];
        for _ in 0..20_000 {
            let ask = Ask::draw(&mut draw);
            counts[ask.route().index()] += 1;
            match ask {
                Ask::Thumb => {}
                Ask::Resize(width) => assert!(work::RESIZE_WIDTH.contains(&width)),
                Ask::Render(frames) => {
                    assert!(FRAMES.contains(&frames) && work::FRAMES.contains(&frames));
                }
            }
        }
        assert!((16_900..17_500).contains(&counts[0]), "{counts:?}");
        assert!((2_400..2_800).contains(&counts[1]), "{counts:?}");
        assert!((150..250).contains(&counts[2]), "{counts:?}");
        assert!((Route::ALL.map(Route::share).iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_mean_cost_is_the_sum_of_shares() {
        let mean = mean_cost(0.002, (1600, 0.1), 0.01);
        assert!((mean - 0.0125).abs() < 0.0001, "{mean}");
    }

    #[test]
    fn a_request_carries_its_number_and_its_photo() {
        let requests = Requests::new("127.0.0.1:8080".to_owned()).unwrap();
        let request = requests.make(Ask::Thumb, 17);
        assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/thumb"));
        assert_eq!(request.headers()[runs::HEADER], "17");
        assert_eq!(requests.make(Ask::Render(60), 1).uri(), "/render?frames=60");
    }
}
