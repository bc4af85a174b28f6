//! Sums over few of many places.

/// Dense sums of which only touched places are read and reset.
#[derive(Debug)]
pub struct Sums {
    values: Vec<f64>,
    /// Touched places first; one longer than the sums, so that `add_all` writes without asking.
    touched: Vec<u32>,
    n_touched: usize,
}

impl Sums {
    /// Zeros in `n` places.
    pub fn new(n: usize) -> Self {
        Self {
            values: vec![0.0; n],
            touched: vec![0; n + 1],
            n_touched: 0,
        }
    }

    /// Add a number above 0 in some places; others are left out.
    #[inline]
    pub fn add_all(&mut self, places: &[u32], value: f64) {
        if value > 0.0 {
            let (values, touched) = (&mut self.values[..], &mut self.touched[..]);
            let mut n_touched = self.n_touched;
            for &place in places {
                let sum = &mut values[place as usize];
                // Whether a place is new is as hard to foretell as a coin: no branch hangs on it.
                touched[n_touched] = place;
                n_touched += usize::from(*sum == 0.0);
                *sum += value;
            }
            self.n_touched = n_touched;
        }
    }

    /// Add a number above 0 in one place.
    #[inline]
    pub fn add(&mut self, place: u32, value: f64) {
        self.add_all(&[place], value);
    }

    /// The sum in a place.
    #[inline]
    pub fn get(&self, place: u32) -> f64 {
        self.values[place as usize]
    }

    /// Places above 0, in the order of their first touch.
    pub fn touched(&self) -> &[u32] {
        &self.touched[..self.n_touched]
    }

    /// Touched places with their sums, in the order of their first touch.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        let places = self.touched().iter();
        places.map(|&place| (place, self.values[place as usize]))
    }

    /// Show every touched place with its sum, in the order of their first touch, and put it back to zero.
    #[inline]
    pub fn drain(&mut self, mut show: impl FnMut(u32, f64)) {
        let values = &mut self.values[..];
        for &place in &self.touched[..self.n_touched] {
            show(place, std::mem::take(&mut values[place as usize]));
        }
        self.n_touched = 0;
    }

    /// Back to zeros.
    pub fn reset(&mut self) {
        for &place in &self.touched[..self.n_touched] {
            self.values[place as usize] = 0.0;
        }
        self.n_touched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touched_once_and_reset() {
        let mut sums = Sums::new(4);
        for (place, value) in [(3, 1.0), (1, 0.5), (3, 2.0), (0, 0.0), (2, -1.0)] {
            sums.add(place, value);
        }
        assert_eq!(sums.iter().collect::<Vec<_>>(), [(3, 3.0), (1, 0.5)]);
        sums.reset();
        assert!(sums.touched().is_empty());
        sums.add_all(&[0, 1, 2, 3, 0], 1.0);
        assert_eq!(sums.touched(), [0, 1, 2, 3]);
        assert_eq!((sums.get(0), sums.get(3)), (2.0, 1.0));
        let mut shown = Vec::new();
        sums.drain(|place, sum| shown.push((place, sum)));
        assert_eq!(shown, [(0, 2.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        assert_eq!((sums.touched().len(), sums.get(0)), (0, 0.0));
    }
}
