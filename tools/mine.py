#!/usr/bin/env python3
"""Mine statement sequences from profile listings: mine.py OUT NPAIRSHAPES NSEQ files...
Simulates the translator's greedy fusion; every program weighs the same."""
import sys,collections,math
out,k,nseq=sys.argv[1],int(sys.argv[2]),int(sys.argv[3])
STOP={'Call','CallIndirect','CallImport','TailCall','TailCallImport','TailCallIndirect','Slow','Host','Br','Ret','RetValueI32','RetValueI64','RetValueF32','RetValueF64','BrTable','Halt','Unreachable'}
NEVER={'Halt','Across','Copy','Count','Slow','Zero','Fuel','Unreachable'}
progs=[]
for f in sys.argv[4:]:
    runs=[];cur=[];tot=0
    for l in open(f):
        a=l.rstrip().split(' ',2); n=int(a[1]); t=tuple(a[2].split(' ; '))
        if a[0]=='#' and cur: runs.append(cur);cur=[]
        for i,s in enumerate(t): cur.append((s,n))
        tot+=n*len(t)
    if cur: runs.append(cur)
    runs=[[ (s,n/tot) for s,n in r] for r in runs if any(n>0 for s,n in r)]
    progs.append(runs)
uni=collections.Counter()
for p in progs:
    for r in p:
        for s,n in r: uni[s]+=math.sqrt(n) if False else n
head=lambda s:s.split(' ',1)[0]
rights=[s for s,_ in uni.most_common() if head(s) not in NEVER]
lefts=[s for s in rights if head(s) not in STOP]
pairs=set(); seqs=[]
def words(t): return sum(len(s.split()) for s in t)
# The k likeliest pairs if statements were independent (adjacent or not in the corpus: this part generalises).
prod=[(uni[a]*uni[b],a,b) for a in lefts[:500] for b in rights[:500]]
prod.sort(reverse=True)
for _,a,b in prod[:k]: pairs.add(((a,),b)); seqs.append((a,b))
runs=[r for p in progs for r in p]
def fuse():
    c=collections.Counter(); disp=0
    for r in runs:
        prev=None;pn=0
        for s,n in r:
            if prev is not None and (prev,s) in pairs: prev=prev+(s,); continue
            if prev is not None:
                h=head(prev[-1])
                if h not in STOP and head(s) not in NEVER and head(prev[0]) not in NEVER and len(prev)<6 and words(prev)+len(s.split())<=26: c[(prev,s)]+=n
            disp+=n
            prev=(s,)
    return c,disp
base=len(progs)
added=0
while added<nseq:
    c,d=fuse()
    if base is None: base=len(progs)
    print('pairs %d dispatches %.3f of %d'%(len(pairs),d,base),file=sys.stderr)
    got=0
    for (p,s),n in c.most_common(max(20,nseq//25)):
        if n<1e-5: break
        pairs.add((p,s)); seqs.append(p+(s,)); got+=1; added+=1
    if not got: break
c,d=fuse(); print('pairs %d dispatches %.3f of %d'%(len(pairs),d,base),file=sys.stderr)
with open(out,'w') as f:
    f.write('# Statement sequences, mined from profiles: see CONTRIBUTING.md, "Regenerate the tile list".\n')
    for s in seqs: f.write(' ; '.join(s)+'\n')
