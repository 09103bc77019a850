#include "textflag.h"

// func compareCoarse(x, rows *uint64, numbers, categories, masked, n int, out *int32)
TEXT ·compareCoarse(SB), NOSPLIT, $0-56
	MOVQ x+0(FP), SI
	MOVQ rows+8(FP), DI
	MOVQ numbers+16(FP), R8
	MOVQ categories+24(FP), R9
	MOVQ masked+32(FP), R13
	MOVQ n+40(FP), CX
	MOVQ out+48(FP), DX
	PXOR X7, X7
	MOVQ $0x7f7f7f7f7f7f7f7f, AX
	MOVQ AX, X6
	PUNPCKLQDQ X6, X6
	LEAQ (R8)(R9*1), R11
	SHLQ $4, R11 // from numbers to their masks

row:
	PXOR X0, X0
	MOVQ SI, R10
	MOVQ R8, BX
	TESTQ BX, BX
	JZ   categories
	TESTQ R13, R13
	JNZ  masked

number:
	MOVOU (R10), X1
	MOVOU (DI), X2
	PSADBW X2, X1
	PADDQ X1, X0
	ADDQ $16, R10
	ADDQ $16, DI
	DECQ BX
	JNZ  number
	JMP  categories

masked:
	MOVOU (R10), X1
	MOVOU (DI), X2
	MOVOU (R10)(R11*1), X3
	MOVOU (DI)(R11*1), X4
	PAND X4, X3
	PAND X3, X1
	PAND X3, X2
	PSADBW X2, X1
	PADDQ X1, X0
	ADDQ $16, R10
	ADDQ $16, DI
	DECQ BX
	JNZ  masked

categories:
	MOVQ R9, BX
	TESTQ BX, BX
	JZ   done

category:
	MOVOU (R10), X1
	MOVOU (DI), X2
	PCMPEQB X2, X1
	PAND X6, X1
	PSADBW X7, X1
	PSUBQ X1, X0
	ADDQ $16, R10
	ADDQ $16, DI
	DECQ BX
	JNZ  category

done:
	PSHUFD $0x4e, X0, X1
	PADDQ X1, X0
	MOVQ X0, AX
	MOVL AX, (DX)
	ADDQ $4, DX
	TESTQ R13, R13
	JZ   next
	MOVQ R8, BX
	SHLQ $4, BX
	ADDQ BX, DI // past the masks

next:
	DECQ CX
	JNZ  row
	RET
