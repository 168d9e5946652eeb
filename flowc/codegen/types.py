"""The dtypes under their short names, as functions that make a number of that type: `f32(0.5)`. In plain Python they are NumPy's own types."""

import numpy as np

i8 = np.int8
i16 = np.int16
i32 = np.int32
i64 = np.int64
u8 = np.uint8
u16 = np.uint16
u32 = np.uint32
u64 = np.uint64
f16 = np.float16
f32 = np.float32
f64 = np.float64
