//! The geometry of feature maps. A map is H · W positions in row-major order, of C channels each, the
//! maps of a batch below each other: rows [N · H · W, C].

/// A square window that slides over maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// [H, W] of the maps.
    pub sides: [usize; 2],
    /// k: it covers k · k positions.
    pub kernel: usize,
    pub stride: usize,
    /// Positions of zeros around the map, fewer than k.
    pub padding: usize,
}

impl Window {
    /// [H, W] of what it makes of a map.
    ///
    /// # Panics
    /// If it fits nowhere, or may lie outside of the map as a whole.
    pub fn output(&self) -> [usize; 2] {
        let Self { sides, kernel, stride, padding } = *self;
        assert!(padding < kernel && stride > 0, "{self:?}");
        sides.map(|side| {
            assert!(side + 2 * padding >= kernel && side > 0, "{self:?}");
            (side + 2 * padding - kernel) / stride + 1
        })
    }

    /// Positions of a map.
    pub fn inputs(&self) -> usize {
        self.sides[0] * self.sides[1]
    }

    /// Positions of what it makes of a map.
    pub fn outputs(&self) -> usize {
        let [height, width] = self.output();
        height * width
    }

    /// Positions that it covers, k · k.
    pub fn covered(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Of row `y` of the output and row `i` of the window, the row of the map; `None` in the padding.
    pub(super) fn row(&self, y: usize, i: usize) -> Option<usize> {
        let row = (y * self.stride + i).checked_sub(self.padding)?;
        (row < self.sides[0]).then_some(row)
    }

    /// Of column `x` of the output, the first column of the window that lies on the map, how many do, and
    /// the column of the map that the first lies on.
    pub(super) fn columns(&self, x: usize) -> (usize, usize, usize) {
        let at = x * self.stride;
        let first = self.padding.saturating_sub(at);
        let end = self.kernel.min(self.sides[1] + self.padding - at);
        (first, end - first, at + first - self.padding)
    }
}
