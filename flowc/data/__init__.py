"""Data to try programs on: the bundled digits, and MNIST's IDX files.

    digits = load_digits(one_hot=True)              # 8 x 8 images, split into training and test
    mnist = read_data_sets("/tmp/data", one_hot=True)   # TensorFlow 1's `input_data.read_data_sets`
    images, labels = mnist.train.next_batch(100)
"""

from flowc.data.dataset import DataSet, Datasets
from flowc.data.digits import load_digits, main_digits, write_digits
from flowc.data.idx import FormatError, MissingFilesError
from flowc.data.mnist import read_data_sets

__all__ = ["DataSet", "Datasets", "FormatError", "MissingFilesError", "load_digits", "main_digits", "read_data_sets", "write_digits"]
