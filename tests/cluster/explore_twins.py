"""explore.py SEED0 COUNT STEPS [sync|async] [deed,deed]"""
import sys, random, tempfile, json, os, logging
from pathlib import Path
sys.path.insert(0,'/work/wt/shards')
os.environ.pop("REDIS_URL",None)
from tests.cluster_nodes import cluster, cluster_url, node
from popoto import embedded, redis_db
from tests.cluster import twins, deeds, deeds_of_memory
from tests.cluster.twins import *
from tests.driver import Api
import collections
logging.disable(logging.CRITICAL)
seed0,count,steps=map(int,sys.argv[1:4])
mode=sys.argv[4] if len(sys.argv)>4 else "both"
only=sys.argv[5].split(',') if len(sys.argv)>5 else None
skip=set(filter(None,(sys.argv[6] if len(sys.argv)>6 else '').split(',')))
single_pair=os.environ.get("SINGLE")
D=deeds.DEEDS
names=[n for n in (only or sorted(D)) if n not in skip]
def diff(a,b,path=''):
    if type(a)!=type(b): return f"{path}: {a!r} != {b!r}"
    if isinstance(a,dict):
        for k in sorted(set(a)|set(b)):
            if k not in a or k not in b: return f"{path}.{k}: {a.get(k,'<absent>')!r} != {b.get(k,'<absent>')!r}"
            d=diff(a[k],b[k],f"{path}.{k}")
            if d: return d
        return ''
    if isinstance(a,(list,tuple)):
        if len(a)!=len(b): return f"{path}: len {len(a)} != {len(b)}: {a!r:.600} != {b!r:.600}"
        for i,(x,y) in enumerate(zip(a,b)):
            d=diff(x,y,f"{path}[{i}]")
            if d: return d
        return ''
    if isinstance(a,float) and isinstance(b,float):
        import math
        return '' if a==b or math.isclose(a,b,rel_tol=1e-5,abs_tol=1e-8) or (a!=a and b!=b) else f"{path}: {a!r} != {b!r}"
    return '' if a==b else f"{path}: {a!r} != {b!r}"
stats=collections.Counter(); errs=collections.Counter(); bad=collections.OrderedDict()
def clear(clients):
    for c in clients: c.flushall()
def run_program(seed, program, api_mode, urls, clients, verbose=False):
    clear(clients)
    with tempfile.TemporaryDirectory() as t:
        api=Api(is_async=api_mode)
        sides=[]
        for models,url,sub in ((SHARDED,urls[0],'s'),(PLAIN,urls[1],'p')):
            (Path(t)/sub).mkdir()
            sides.append(Side(models,url,api,Path(t)/sub))
        try:
            for i,(name,sub) in enumerate(program):
                outs=[s.outcome(lambda side: D[name](side,random.Random(sub))) for s in sides]
                stats[name]+=1
                if isinstance(outs[0],tuple) and outs[0][:1]==('error',): errs[name,outs[0][1]]+=1
                elif outs[0] is None: errs[name,'None']+=1
                d=diff(*outs)
                if d: return i,name,sub,d
        finally: api.close()
    return None
def main_():
    with cluster(3) as ports:
        srv=embedded.start()
        import redis
        clients=[node(p) for p in ports]+[redis.Redis.from_url(srv.url)]
        urls=(srv.url if single_pair else cluster_url(ports), srv.url)
        redis_db.set_REDIS_DB_settings(url=srv.url)
        for seed in range(seed0,seed0+count):
            r=random.Random(seed)
            fill=[] if only and os.environ.get("NOFILL") else [(n,r.randrange(10**6)) for n in ("create_person","bulk_create","remember_several","bulk_create","remember_several","say","create_fleeting","bulk_create","remember_several")]
            rare={"delete_all","erase","delete_found","lose_a_record","bulk_delete","forget_several","export_and_import"}
            pool=[n for n in names for _ in range(1 if n in rare else 4)]
            program=fill+[(r.choice(pool),r.randrange(10**6)) for _ in range(steps)]
            m={'sync':False,'async':True}.get(mode, bool(seed%2))
            f=run_program(seed,program,m,urls,clients)
            if f:
                i,name,sub,d=f
                key=(name,)
                if key in bad: bad[key][0]+=1; continue
                # shrink
                prog=program[:i+1]
                j=len(prog)-2
                while j>=0:
                    cand=prog[:j]+prog[j+1:]
                    g=run_program(seed,cand,m,urls,clients)
                    if g and g[1]==name: prog=cand; d=g[3]
                    j-=1
                    j=min(j,len(prog)-2)
                bad[key]=[1,seed,m,prog,d]
                print(f"== {name} seed {seed} {'async' if m else 'sync'}: {prog}\n   {d[:1800]}",flush=True)
        print("programs",count,"steps",sum(stats.values()))
        print("bad",{k[0]:v[0] for k,v in bad.items()})
        if os.environ.get("STATS"): print(sorted(stats.items())); print(sorted(errs.items()))
        srv.close()
main_()
