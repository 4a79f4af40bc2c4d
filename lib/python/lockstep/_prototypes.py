"""The C interface (lockstep/lockstep.h) as ctypes sees it: constants, structures, and what each function takes."""

from ctypes import POINTER, Structure, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p

OK, USAGE_ERROR, COMMUNICATION_ERROR, OTHER_ERROR = 0, 1, 2, 3
FLOAT, DOUBLE = 1, 2
CHANNELS_LAST, CHANNELS_FIRST = 0, 1
ACTIVATIONS = {None: 0, "relu": 1}
GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, GAMMA_GRADIENT, BETA_GRADIENT = range(6)


class Shape(Structure):
    _fields_ = [("batch", c_int64), ("spatial", c_int64), ("channel_order", c_int32)]


class Options(Structure):
    _fields_ = [("size", c_int64), ("epsilon", c_double), ("momentum", c_double), ("cumulative", c_int32),
                ("affine", c_int32), ("track_running_averages", c_int32), ("frozen", c_int32),
                ("activation", c_int32), ("replicas", c_int32), ("group", c_int32), ("reserved", c_int32),
                ("name", c_char_p)]


class ForwardSlice(Structure):
    _fields_ = [("x", c_void_p), ("z", c_void_p), ("shape", Shape)]


class BackwardSlice(Structure):
    _fields_ = [("x", c_void_p), ("dz", c_void_p), ("dx", c_void_p), ("shape", Shape),
                ("gamma_gradient", c_void_p), ("beta_gradient", c_void_p)]


class Executor(Structure):
    _fields_ = [("context", c_void_p), ("threads", c_void_p), ("run", c_void_p)]


# Handles and arrays are addresses: Python's integers, which cost nothing to pass.
_address, _place = c_void_p, POINTER(c_void_p)

# What each function takes, without the prefix lockstep_; the result is an error code.
FUNCTIONS = {
    "session_create": (_place,),
    "communicator_create_fortran": (c_int32, c_double, _place),
    "communicator_create_world": (c_double, _place),
    "communicator_create_self": (_place,),
    "communicator_rank": (_address, POINTER(c_int32)),
    "communicator_size": (_address, POINTER(c_int32)),
    "communicator_split": (_address, c_int32, c_int32, _place),
    "communicator_check_agreement": (_address, c_char_p, c_char_p, c_char_p),
    "communicator_announce_failure": (_address, c_char_p),
    "batch_norm_default_options": (POINTER(Options), c_int64),
    "batch_norm_create": (c_int, c_int64, _address, POINTER(Options), _place),
    "moments_create": (_place,),
    "moments_read": (_address, c_int32, POINTER(c_double), _place, _place, POINTER(c_int64)),
    "batch_norm_forward": (_address, _address, _address, Shape, _address),
    "batch_norm_backward": (_address, _address, _address, _address, Shape, _address),
    "batch_norm_backward_parameters": (_address, _address, _address, Shape, _address),
    "batch_norm_forward_slices": (_address, _address, c_int64, _address),
    "batch_norm_backward_slices": (_address, _address, c_int64, _address),
    "batch_norm_begin_forward": (_address, _address, _address, Shape, _address),
    "batch_norm_end_forward": (_address,),
    "batch_norm_begin_backward": (_address, _address, _address, _address, Shape, _address),
    "batch_norm_end_backward": (_address,),
    "batch_norm_poll": (_address, POINTER(c_int)),
    "batch_norm_infer": (_address, _address, _address, Shape),
    "batch_norm_describe": (_address, POINTER(c_int32), POINTER(c_int64), POINTER(c_int32), POINTER(c_int32),
                            POINTER(c_char_p)),
    "batch_norm_values": (_address, c_int, _place, POINTER(c_int64)),
    "batch_norm_bind": (_address, _address, _address, _address, _address),
    "batch_norm_batches_tracked": (_address, POINTER(c_int64), POINTER(c_int64)),
    "batch_norm_set_batches_tracked": (_address, c_int64, c_int64),
    "batch_norm_zero_gradients": (_address,),
    "batch_norm_set_executor": (_address, POINTER(Executor)),
    "batch_norm_set_epsilon": (_address, c_double),
    "batch_norm_set_momentum": (_address, c_double, c_int),
    "batch_norm_set_frozen": (_address, c_int),
    "batch_norm_change_communicator": (_address, _address, c_int32, c_int32),
    "batch_norm_synchronize_running_averages": (_address, _address, c_double),
    "batch_norm_announce_failure": (_address, c_char_p),
    "thread_pool_create": (c_int32, _place),
    "thread_pool_executor": (_address, POINTER(Executor)),
    "precise_statistics_create": (_address, _place),
    "precise_statistics_add": (_address,),
    "precise_statistics_finish": (_address, c_int64),
    "precise_statistics_finish_among": (_address, _address, c_int64),
}
# These free a handle, or nothing if it is NULL.
FREE = ("session", "communicator", "batch_norm", "moments", "precise_statistics", "thread_pool")
# These return text, which is theirs.
TEXT = ("version", "mpi_library", "message")


def declare(library) -> None:
    """Tells ctypes what the functions of the library take and give."""
    for name, arguments in FUNCTIONS.items():
        function = getattr(library, "lockstep_" + name)
        function.argtypes, function.restype = arguments, c_int
    for name in FREE:
        function = getattr(library, f"lockstep_{name}_free")
        function.argtypes, function.restype = (_address,), None
    for name in TEXT:
        function = getattr(library, "lockstep_" + name)
        function.argtypes, function.restype = (), c_char_p
