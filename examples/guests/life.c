/* Conway's game of life: a pattern that never settles, generation by generation, then the last one as a picture.
 *
 *     jitless life.wasm [GENERATIONS [WIDTH HEIGHT]]
 *
 * The ends of the world are joined. Built by the command in README.md here.
 */
#include <stdio.h>
#include <stdlib.h>

static int width = 64, height = 24;

/* The R-pentomino: five cells that take 1103 generations to settle on an endless plane. */
static const int start[][2] = {{1, 0}, {2, 0}, {0, 1}, {1, 1}, {1, 2}};

static unsigned char *cell(unsigned char *world, int x, int y) {
    return &world[(y + height) % height * width + (x + width) % width];
}

static int neighbours(unsigned char *world, int x, int y) {
    int count = 0;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            if (dx || dy) count += *cell(world, x + dx, y + dy);
    return count;
}

static int number(const char *text, int least, int most) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || end == text || value < least || value > most) {
        fprintf(stderr, "life: `%s` is no number from %d to %d\n", text, least, most);
        exit(2);
    }
    return (int)value;
}

int main(int argc, char **argv) {
    int generations = argc > 1 ? number(argv[1], 0, 1000000) : 100;
    if (argc > 2) width = number(argv[2], 3, 1000);
    if (argc > 3) height = number(argv[3], 3, 1000);
    unsigned char *now = calloc(width, height), *next = calloc(width, height);
    if (!now || !next) {
        fprintf(stderr, "life: the world is too large\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        *cell(now, width / 2 + start[i][0], height / 2 + start[i][1]) = 1;
    for (int g = 0; g < generations; g++) {
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                int n = neighbours(now, x, y);
                *cell(next, x, y) = n == 3 || (n == 2 && *cell(now, x, y));
            }
        unsigned char *old = now;
        now = next, next = old;
    }
    int alive = 0;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            alive += *cell(now, x, y);
            putchar(*cell(now, x, y) ? '#' : '.');
        }
        putchar('\n');
    }
    printf("generation %d: %d cells alive\n", generations, alive);
    return 0;
}
