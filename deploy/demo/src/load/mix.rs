//! What each request asks for.
//!
//! The trace has no durations, so the mix is ours: mostly thumbnails, some resized photos from small to large, and a
//! few films. Few, because one film takes as long as hundreds of thumbnails: by count it is nothing, by busy slots it is most.
//! Long is not heavy: a film mostly waits for its frames ([`crate::app::FETCH`]), so that what keeps five or six slots busy
//! in the crowd leaves the cores of one machine to the rest.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;

use super::draw::Draw;
use crate::{app, runs, work};

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
            Self::Thumb => 0.84,
            Self::Resize | Self::Render => 0.08,
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
    /// Draws a film.
    pub fn film(draw: &mut Draw) -> Self {
        let span = f64::from(FRAMES.end() - FRAMES.start() + 1);
        Self::Render(FRAMES.start() + (draw.unit() * span) as u32)
    }

    /// Draws a request that is no film.
    pub fn other(draw: &mut Draw) -> Self {
        let (route, size) = (draw.unit(), draw.unit());
        if route < Route::Resize.share() / (1.0 - Route::Render.share()) {
            Self::Resize(WIDTHS[(size * WIDTHS.len() as f64) as usize])
        } else {
            Self::Thumb
        }
    }

    /// Returns all requests of the mix, each with its share of them, 0 to 1.
    pub fn all() -> impl Iterator<Item = (Self, f64)> {
        let resize = Route::Resize.share() / WIDTHS.len() as f64;
        let render = Route::Render.share() / f64::from(FRAMES.end() - FRAMES.start() + 1);
        let resizes = WIDTHS.into_iter().map(move |width| (Self::Resize(width), resize));
        let renders = FRAMES.map(move |frames| (Self::Render(frames), render));
        std::iter::once((Self::Thumb, Route::Thumb.share())).chain(resizes).chain(renders)
    }

    /// Returns its target: path and query.
    pub fn target(self) -> String {
        match self {
            Self::Thumb => "/thumb".to_owned(),
            Self::Resize(width) => format!("/resize?width={width}"),
            Self::Render(frames) => format!("/render?frames={frames}"),
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
        let (method, body) = match ask {
            Ask::Thumb => (Method::POST, self.photo.clone()),
            Ask::Resize(_) | Ask::Render(_) => (Method::GET, Bytes::new()),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(ask.target())
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
    /// Returns how long a request keeps a slot busy when nothing is in its way, in seconds: its work, and a film's frames on
    /// their way from the store.
    pub fn duration(&self, ask: Ask) -> f64 {
        match ask {
            Ask::Thumb => self.thumb,
            Ask::Resize(width) => self.resize(f64::from(width) * f64::from(width)),
            Ask::Render(frames) => f64::from(frames) * (self.frame + app::FETCH.as_secs_f64()),
        }
    }

    /// Returns the work of a resize to the square of a width.
    fn resize(&self, width_squared: f64) -> f64 {
        let by_square = (self.resize_1024 - self.resize_64) / f64::from(1024 * 1024 - 64 * 64);
        self.resize_64 + by_square * (width_squared - 64.0 * 64.0)
    }

    /// Returns the work of a film on average, in seconds of one core: 74.5 frames of 0.5 ms are 37 ms.
    pub fn film(&self) -> f64 {
        f64::from(FRAMES.start() + FRAMES.end()) / 2.0 * self.frame
    }

    /// Returns the work of any other request on average.
    ///
    /// `sum of share x cost / sum of shares`, where a resize costs `a + b x width^2`: with 1 ms, 5 ms and 40 ms,
    /// (0.84 x 1 ms + 0.08 x 23.9 ms) / 0.92 = 3.0 ms.
    pub fn other(&self) -> f64 {
        let (thumb, resize) = (Route::Thumb.share(), Route::Resize.share());
        (thumb * self.thumb + resize * self.resize(WIDTH_SQUARED_MEAN)) / (thumb + resize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_of_the_sizes_that_the_workload_takes() {
        let mut draw = Draw::new(3);
        for _ in 0..2_000 {
            for ask in [Ask::film(&mut draw), Ask::other(&mut draw)] {
                match ask {
                    Ask::Thumb => {}
                    Ask::Resize(width) => assert!(work::RESIZE_WIDTH.contains(&width)),
                    Ask::Render(frames) => {
                        assert!(FRAMES.contains(&frames) && work::FRAMES.contains(&frames));
                    }
                }
            }
        }
        assert!((Route::ALL.map(Route::share).iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_whole_mix_is_told_with_its_shares_and_durations() {
        let costs = Costs { thumb: 0.001, resize_64: 0.005, resize_1024: 0.04, frame: 0.0005 };
        let all: f64 = Ask::all().map(|(_, share)| share).sum();
        assert!((all - 1.0).abs() < 1e-9, "{all}");
        // What films wait for is beside what they cost.
        let busy: f64 = Ask::all().map(|(ask, share)| share * costs.duration(ask)).sum();
        let films = Route::Render.share();
        let waited = films * 74.5 * app::FETCH.as_secs_f64();
        let cost = films * costs.film() + (1.0 - films) * costs.other();
        assert!((busy - cost - waited).abs() < 1e-9, "{busy}");
        assert!((costs.duration(Ask::Resize(1024)) - 0.04).abs() < 1e-9);
        assert!((costs.other() - 0.003).abs() < 0.0001, "{}", costs.other());
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
