!> Texts between Fortran and C, and numbers as text.
module lockstep_text
    use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_f_pointer, c_null_char, c_ptr, c_size_t
    use, intrinsic :: iso_fortran_env, only: int64
    implicit none
    private
    public :: from_c, to_c, number, extents_text

    interface
        integer(c_size_t) function strlen(text) bind(c)
            import
            type(c_ptr), value :: text
        end function
    end interface

contains

    !> A copy of a C string; empty for NULL.
    function from_c(text) result(copy)
        type(c_ptr), intent(in) :: text
        character(:), allocatable :: copy
        character(kind=c_char), pointer :: characters(:)
        integer :: i

        if (.not. c_associated(text)) then
            copy = ""
            return
        end if
        call c_f_pointer(text, characters, [strlen(text)])
        allocate (character(size(characters)) :: copy)
        do i = 1, size(characters)
            copy(i:i) = characters(i)
        end do
    end function

    !> The characters of a C string: without trailing blanks, and with the zero at the end.
    function to_c(text) result(characters)
        character(*), intent(in) :: text
        character(kind=c_char), allocatable :: characters(:)
        integer :: i

        allocate (characters(len_trim(text) + 1))
        do i = 1, len_trim(text)
            characters(i) = text(i:i)
        end do
        characters(len_trim(text) + 1) = c_null_char
    end function

    function number(value) result(text)
        integer(int64), intent(in) :: value
        character(:), allocatable :: text
        character(20) :: digits

        write (digits, "(i0)") value
        text = trim(digits)
    end function

    !> "3 x 4 x 5"
    function extents_text(extents) result(text)
        integer(int64), intent(in) :: extents(:)
        character(:), allocatable :: text
        integer :: i

        text = ""
        do i = 1, size(extents)
            if (i > 1) text = text // " x "
            text = text // number(extents(i))
        end do
    end function
end module
