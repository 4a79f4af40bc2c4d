!> Threads that a layer spreads its work over: a pool of the library's, or the program's own. Results have the same bits
!> with any, and with none.
module lockstep_threads
    use, intrinsic :: iso_c_binding, only: c_f_pointer, c_f_procpointer, c_funloc, c_funptr, c_int, c_int32_t, c_loc, &
        c_null_funptr, c_null_ptr, c_ptr
    use lockstep_c
    use lockstep_handle, only: call_outcome, conclude, give_up, handle, own_created
    implicit none
    private
    public :: c_executor

    !> A pool of threads, the calling one among them; outlives the layers that use it.
    type, extends(handle), public :: thread_pool
    contains
        procedure :: create => create_pool
        procedure :: free => free_pool
        procedure, nopass :: type_name => type_name_of_pool
        final :: finish_pool
    end type

    !> A function of a task's number.
    type, public :: executor_task
        private
        type(c_funptr) :: function = c_null_funptr
        type(c_ptr) :: argument = c_null_ptr
    contains
        procedure :: perform
    end type

    !> The program's own threads, OpenMP's say.
    type, abstract, public :: executor
    contains
        procedure(threads_interface), deferred :: threads
        procedure(run_interface), deferred :: run
    end type

    abstract interface
        !> How many tasks may run at a time; 1 or more.
        integer function threads_interface(self)
            import :: executor
            class(executor), intent(in) :: self
        end function

        !> Calls task%perform(i) once for each i from 1 to `tasks`, on any threads and in any order, and returns when
        !> all have ended.
        subroutine run_interface(self, tasks, task)
            import :: executor, executor_task
            class(executor), intent(inout) :: self
            integer, intent(in) :: tasks
            type(executor_task), intent(in) :: task
        end subroutine

        subroutine task_function(argument, number) bind(c)
            import :: c_int32_t, c_ptr
            type(c_ptr), value :: argument
            integer(c_int32_t), value :: number
        end subroutine
    end interface

    !> A polymorphic pointer as C can hand it on.
    type, public :: executor_box
        class(executor), pointer :: executor => null()
    end type

contains

    !> The executor in a box, which stays where it is, as the library wants it.
    function c_executor(box) result(converted)
        type(executor_box), intent(in), pointer :: box
        type(lockstep_executor) :: converted

        converted%context = c_loc(box)
        converted%threads = c_funloc(threads_of_box)
        converted%run = c_funloc(run_in_box)
    end function

    integer(c_int32_t) function threads_of_box(context) bind(c, name="")
        type(c_ptr), value :: context
        type(executor_box), pointer :: box

        call c_f_pointer(context, box)
        threads_of_box = int(box%executor%threads(), c_int32_t)
    end function

    subroutine run_in_box(context, tasks, task, argument) bind(c, name="")
        type(c_ptr), value :: context
        integer(c_int32_t), value :: tasks
        type(c_funptr), value :: task
        type(c_ptr), value :: argument
        type(executor_box), pointer :: box

        call c_f_pointer(context, box)
        call box%executor%run(int(tasks), executor_task(task, argument))
    end subroutine

    !> Task 1, task 2, and so on.
    subroutine perform(self, number)
        class(executor_task), intent(in) :: self
        integer, intent(in) :: number
        procedure(task_function), pointer :: function

        call c_f_procpointer(self%function, function)
        call function(self%argument, int(number - 1, c_int32_t))
    end subroutine

    subroutine create_pool(self, threads, stat, errmsg)
        class(thread_pool), intent(inout) :: self
        integer, intent(in) :: threads
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(c_ptr) :: object
        integer(c_int) :: code

        call self%free()
        code = lockstep_thread_pool_create(int(threads, c_int32_t), object)
        call own_created(self, code, object, outcome)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Also without a call, when the pool goes out of scope.
    subroutine free_pool(self)
        class(thread_pool), intent(inout) :: self

        call lockstep_thread_pool_free(give_up(self))
    end subroutine

    impure elemental subroutine finish_pool(self)
        type(thread_pool), intent(inout) :: self

        call self%free()
    end subroutine

    function type_name_of_pool() result(name)
        character(:), allocatable :: name

        name = "thread_pool"
    end function
end module
