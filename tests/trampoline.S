// void oct_test_checked_call(CallRecord*); see trampoline.cc for the record.
//
// After the call no register can be trusted, rsp included, so the record and the stack pointer
// are found again through rip-relative variables.

        .intel_syntax noprefix

        .equ    FN, 0
        .equ    ARGUMENT, 8
        .equ    VECTOR_BYTES, 16
        .equ    REGISTERS, 24
        .equ    RSP_MOVED, 72
        .equ    RFLAGS, 80
        .equ    MXCSR_BEFORE, 88
        .equ    MXCSR_AFTER, 92
        .equ    FRAME, 96
        .equ    VECTORS, 160

        .section .rodata
        .balign 8
        .globl  oct_test_sentinel
        .hidden oct_test_sentinel
oct_test_sentinel:
        .quad   0x5a17c0de5a17c0de
garbage:
        .quad   0xdeadbeef8badf00d

        .bss
        .balign 8
record: .skip   8
stack:  .skip   8

        .text
        .globl  oct_test_checked_call
        .hidden oct_test_checked_call
        .type   oct_test_checked_call, @function
oct_test_checked_call:
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        sub     rsp, 72                 // eight sentinel words, and alignment
        mov     [rip + record], rdi
        mov     [rip + stack], rsp
        stmxcsr [rdi + MXCSR_BEFORE]

        mov     rbx, [rip + oct_test_sentinel]
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7
        mov     [rsp + 8 * \i], rbx
        .endr
        lea     rbp, [rbx + 1]
        lea     r12, [rbx + 2]
        lea     r13, [rbx + 3]
        lea     r14, [rbx + 4]
        lea     r15, [rbx + 5]

        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vbroadcastsd ymm\i, [rip + garbage]
        .endr
        cmp     qword ptr [rdi + VECTOR_BYTES], 64
        jne     1f
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vbroadcastsd zmm\i, [rip + garbage]
        .endr
        .irp    i, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vbroadcastsd zmm\i, [rip + garbage]
        .endr
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7
        kmovq   k\i, [rip + garbage]
        .endr
1:
        mov     rax, [rip + garbage]
        mov     rcx, rax
        mov     rdx, rax
        mov     rsi, rax
        mov     r8, rax
        mov     r9, rax
        mov     r10, rax
        mov     r11, [rdi + FN]
        mov     rdi, [rdi + ARGUMENT]
        call    r11

        mov     rax, [rip + record]
        mov     [rax + REGISTERS], rbx
        mov     [rax + REGISTERS + 8], rbp
        mov     [rax + REGISTERS + 16], r12
        mov     [rax + REGISTERS + 24], r13
        mov     [rax + REGISTERS + 32], r14
        mov     [rax + REGISTERS + 40], r15
        sub     rsp, [rip + stack]
        mov     [rax + RSP_MOVED], rsp
        mov     rsp, [rip + stack]
        pushfq
        pop     [rax + RFLAGS]
        cld
        stmxcsr [rax + MXCSR_AFTER]
        ldmxcsr [rax + MXCSR_BEFORE]
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7
        mov     rcx, [rsp + 8 * \i]
        mov     [rax + FRAME + 8 * \i], rcx
        .endr

        cmp     qword ptr [rax + VECTOR_BYTES], 64
        je      2f
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovups [rax + VECTORS + 64 * \i], ymm\i
        .endr
        jmp     3f
2:
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovups [rax + VECTORS + 64 * \i], zmm\i
        .endr
3:
        vzeroupper
        add     rsp, 72
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret
        .size   oct_test_checked_call, . - oct_test_checked_call

        .section .note.GNU-stack, "", @progbits
