"""The dtypes under their short names, as functions that make a number of that type: `f32(0.5)`. In plain Python they are NumPy's own types."""

import numpy as np

i8, i16, i32, i64 = np.int8, np.int16, np.int32, np.int64
u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64
f32, f64 = np.float32, np.float64
