"""Linear regression as an object that is there already: columns of features, a function that feeds them, fit and evaluate.

    python examples/linear_regressor.py
"""

import numpy as np

import flowc as tf

xs, ys = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, -1.0, -2.0, -3.0])

columns = [tf.contrib.layers.real_valued_column("x", dimension=1)]
regressor = tf.contrib.learn.LinearRegressor(feature_columns=columns)
feed = tf.contrib.learn.io.numpy_input_fn({"x": xs}, ys, batch_size=4, num_epochs=1000)
regressor.fit(input_fn=feed, steps=1000)
found = regressor.evaluate(input_fn=tf.contrib.learn.io.numpy_input_fn({"x": xs}, ys, batch_size=4, num_epochs=1))
print(f"loss {found['loss']:.1e} after {found['global_step']} steps")
