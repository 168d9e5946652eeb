"""The TensorFlow 1 names over flowc, for scripts that say `import tensorflow as tf`.

    flowc.tensorflow.install()
    import tensorflow as tf                                         # flowc
    from tensorflow.examples.tutorials.mnist import input_data      # flowc's reader of IDX files
"""

from __future__ import annotations

from flowc.tensorflow.modules import install, uninstall

__all__ = ["install", "uninstall"]
