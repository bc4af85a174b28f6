//! Sums over few of many places.

/// Dense sums of which only touched places are read and reset.
#[derive(Debug, Default)]
pub struct Sums {
    values: Vec<f64>,
    touched: Vec<u32>,
}

impl Sums {
    /// Zeros in `n` places.
    pub fn new(n: usize) -> Self {
        Self {
            values: vec![0.0; n],
            touched: Vec::new(),
        }
    }

    /// Add a number above 0; others are left out.
    #[inline]
    pub fn add(&mut self, place: u32, value: f64) {
        if value > 0.0 {
            let sum = &mut self.values[place as usize];
            if *sum == 0.0 {
                self.touched.push(place);
            }
            *sum += value;
        }
    }

    /// The sum in a place.
    #[inline]
    pub fn get(&self, place: u32) -> f64 {
        self.values[place as usize]
    }

    /// Places above 0, in the order of their first touch.
    pub fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// Touched places with their sums, in the order of their first touch.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.touched
            .iter()
            .map(|&place| (place, self.values[place as usize]))
    }

    /// Back to zeros.
    pub fn reset(&mut self) {
        for &place in &self.touched {
            self.values[place as usize] = 0.0;
        }
        self.touched.clear();
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
        assert_eq!(sums.get(3), 0.0);
    }
}
