"""What can be wrong before a fit begins, as exceptions.

    ValueError
        DatasetError            the input cannot be read as curves, or not by this model
        JobMismatchError        the output directory holds the results of another job
        StoreError              an object store cannot be used, or not for results
    RuntimeError
        SinkLockedError         another run is writing to the output directory
        ClusterError            the workers cannot do the work

Each message says what was given, what was expected and what to do.
"""

__all__ = ["ClusterError", "DatasetError", "JobMismatchError", "SinkLockedError", "StoreError"]


class DatasetError(ValueError):
    """The input cannot be read as curves of the model."""


class JobMismatchError(ValueError):
    """The output directory holds the results of another job."""


class StoreError(ValueError):
    """An object store cannot be used, or not for results."""


class SinkLockedError(RuntimeError):
    """Another run is writing to the output directory."""


class ClusterError(RuntimeError):
    """The workers cannot do the work."""
