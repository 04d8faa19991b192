package postfix
import ("testing";"time";"sync")
func TestTmp(t *testing.T){
 m:=startMachine(t,"enable_long_queue_ids = yes")
 var ls []letter; for range 5000 { ls=append(ls,held("<a@fast.test>")) }
 m.submit(t,ls...)
 s:=time.Now(); q:=m.queue(t); t.Log(len(q),time.Since(s))
 var all []Identity
 for _,x:=range q { all=append(all,Identity{ID:x.ID,Arrival:x.Arrival,Sender:x.Sender}) }
 s=time.Now(); n:=len(all)/2
 r,err:=m.helper.Delete(t.Context(),all[:n]); t.Log("delete",n,time.Since(s),err,r[0])
 b:=NewBatcher(m.helper); s=time.Now(); var wg sync.WaitGroup
 for _,x:=range all[n:] { wg.Go(func(){ if r,err:=b.Release(t.Context(),x); err!=nil||r.Outcome!=Released {t.Error(r,err)} }) }
 wg.Wait(); t.Log("release",len(all)-n,time.Since(s)); 
 eventually(t,"x",func()bool{return m.fast.messages()==len(all)-n}); t.Log("delivered",time.Since(s))
 b.Close()
}
