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
            Self::Thumb => 0.91,
            Self::Resize => 0.08,
            Self::Render => 0.01,
        }
    }
}

/// Widths that are asked for, each as often: from an icon to a large screen, so most are short and the last is not.
const WIDTHS: [u32; 6] = [64, 128, 256, 512, 1024, 1440];
/// Mean of the squared widths: the work of a resize grows with the square.
const WIDTH_SQUARED_MEAN: f64 =
    (64 * 64 + 128 * 128 + 256 * 256 + 512 * 512 + 1024 * 1024 + 1440 * 1440) as f64 / 6.0;
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

/// What the parts of the mix cost on some machine, in seconds of one core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// One thumbnail of a posted photo.
    pub thumb: f64,
    /// One resize to 64 pixels: nearly all of it is reading.
    pub resize_64: f64,
    /// One resize to 1,024 pixels.
    pub resize_1024: f64,
    /// One frame of a film.
    pub frame: f64,
}

impl Costs {
    /// Returns the cost of a request of the mix on average.
    ///
    /// `mean = sum of share x cost`, where a resize costs `a + b x width^2`: with 1 ms, 5 ms and 40 ms, and 8 ms a frame,
    /// 0.91 x 1 ms + 0.08 x 23.9 ms + 0.01 x 596 ms = 8.8 ms.
    pub fn mean(&self) -> f64 {
        let by_square = (self.resize_1024 - self.resize_64) / f64::from(1024 * 1024 - 64 * 64);
        let resize = self.resize_64 + by_square * (WIDTH_SQUARED_MEAN - 64.0 * 64.0);
        let frames = f64::from(FRAMES.start() + FRAMES.end()) / 2.0;
        Route::Thumb.share() * self.thumb
            + Route::Resize.share() * resize
            + Route::Render.share() * frames * self.frame
    }
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
        assert!((17_900..18_500).contains(&counts[0]), "{counts:?}");
        assert!((1_450..1_750).contains(&counts[1]), "{counts:?}");
        assert!((150..250).contains(&counts[2]), "{counts:?}");
        assert!((Route::ALL.map(Route::share).iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_mean_cost_is_the_sum_of_shares() {
        let costs = Costs { thumb: 0.001, resize_64: 0.005, resize_1024: 0.04, frame: 0.008 };
        assert!((costs.mean() - 0.0088).abs() < 0.0001, "{}", costs.mean());
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
